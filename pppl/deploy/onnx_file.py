"""ONNX files with a description of their network as metadata, and a seal: a hash of everything before it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..system.errors import UserError, first_line
from ..system.extras import Needing
from ..system.files import expand

_META, _SEAL = "pppl", b"pppl.sha256"
# `ModelProto.metadata_props` is field 14. Its entries have a key (field 1) and a value (2), each after its length.
# Protobuf fields may come in any order, so an entry appended at the end of the file still belongs to the message.
_ENTRY = b"\x0a" + bytes([len(_SEAL)]) + _SEAL + b"\x12\x40"
_HEAD = b"\x72" + bytes([len(_ENTRY) + 64]) + _ENTRY


class Session(NamedTuple):
    """An ONNX file that is ready to run.

    ```python
    session = open_onnx("personal.onnx")
    session.meta["classes"], session(np.zeros((1, 1, 8, 8), np.float32))
    ```

    - `run`: the session of ONNX Runtime.
    - `input`: name of the input.
    - `meta`: the file's metadata: preprocessing, spec, provenance.
    """

    run: Any
    input: str
    meta: Mapping[str, Any]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return logits, `(B, K)`, of float32 inputs, `(B, ...)`."""
        return self.run.run(None, {self.input: x})[0]


def seal(model: Any, meta: Mapping[str, Any]) -> bytes:
    """Serialize a `ModelProto` with `meta` (JSON, under the key `pppl`) and a seal.

    The traces of source code that an exporter leaves in every node are removed.
    """
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:], model.metadata_props[:]
    model.metadata_props.add(key=_META, value=json.dumps(dict(meta)))
    content = model.SerializeToString()
    return content + _HEAD + hashlib.sha256(content).hexdigest().encode()


def open_onnx(path: str | Path, *, threads: int = 1) -> Session:
    """Open a sealed ONNX file in ONNX Runtime, on the CPU.

    ```python
    session = open_onnx("personal.onnx")
    logits = session(np.zeros((1, 1, 8, 8), np.float32))
    ```

    Raise `UserError` if the file is missing, truncated or altered, or was not exported by `pppl`.
    """
    try:
        content = expand(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name an exported .onnx file") from error
    return open_onnx_bytes(content, threads=threads, where=str(path))


def open_onnx_bytes(content: bytes, *, threads: int = 1, where: str = "the export") -> Session:
    """Open the content of a sealed ONNX file, as `open_onnx` does.

    **Arguments:**

    - `where`: the name of the file in error messages.
    """
    with Needing("an .onnx file", "deploy"):
        import onnxruntime
    end = len(content) - len(_HEAD) - 64
    if end < 0 or content[end : end + len(_HEAD)] != _HEAD:
        raise UserError(f"{where} is truncated, or was not exported by `pppl personalize`: export it again")
    if hashlib.sha256(content[:end]).hexdigest().encode() != content[end + len(_HEAD) :]:
        raise UserError(f"{where} is damaged (it does not match its hash): export or fetch it again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    try:
        run = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        meta = json.loads(run.get_modelmeta().custom_metadata_map[_META])
    except Exception as error:  # ONNX Runtime raises a dozen types of its own
        raise UserError(f"{where} cannot be run by ONNX Runtime ({first_line(error)}): export it again") from error
    return Session(run=run, input=run.get_inputs()[0].name, meta=meta)

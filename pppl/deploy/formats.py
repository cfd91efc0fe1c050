"""Exports of a network: ONNX (with weights of 32 or 8 bits), `torch.export` and ExecuTorch."""

import importlib
import importlib.util
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..system.extras import Needing
from ..system.progress import quieter
from .graph import Deployed
from .onnx_file import seal


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters' warnings about missing packages and their own code."""
    with quieter(logging.getLogger("torch.onnx"), logging.ERROR), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _program(deployed: Deployed, *, batches: bool = True) -> torch.export.ExportedProgram:
    example = torch.zeros(2 if batches else 1, *deployed.input_shape)
    sizes = {"x": {0: torch.export.Dim("batch")}} if batches else None
    with _quiet(), torch.no_grad():
        return torch.export.export(deployed, (example,), dynamic_shapes=sizes)


def to_onnx(deployed: Deployed, meta: Mapping[str, Any]) -> bytes:
    """Export to a sealed ONNX file for any batch size.

    The input is named `values` or `audio`, the output `logits`. The file's metadata hold `meta`.

    ```python
    Path("network.onnx").write_bytes(to_onnx(Deployed(network, preprocessing), {}))
    ```
    """
    return seal(_model(deployed), meta)


def _model(deployed: Deployed) -> Any:
    with Needing("an export to ONNX", "deploy"):
        import onnxscript  # noqa: F401 (torch imports it)
    with _quiet():
        program = torch.onnx.export(
            _program(deployed),
            input_names=[deployed.input_name],
            output_names=["logits"],
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto  # a property that builds a new model on each access
    _use_pooling(model.graph)
    return model


def _use_pooling(graph: Any) -> None:
    """Replace means over an image's pixels by global average pooling.

    Engines that store images in blocks of channels have a fast kernel for it.
    """
    from onnx import helper, numpy_helper

    axes = {value.name: numpy_helper.to_array(value).tolist() for value in graph.initializer if value.dims == [2]}
    typed_values = (*graph.value_info, *graph.input)
    images = {value.name for value in typed_values if len(value.type.tensor_type.shape.dim) == 4}
    for index, node in reversed(list(enumerate(graph.node))):
        if node.op_type != "ReduceMean" or node.input[0] not in images or len(node.input) < 2:
            continue
        if sorted(axis % 4 for axis in axes.get(node.input[1], ())) != [2, 3]:
            continue
        x, mean = node.input[0], node.output[0]
        keeps = {attribute.name: attribute.i for attribute in node.attribute}.get("keepdims", 1)
        pooled = mean if keeps else f"{mean}_pixels"
        node.CopyFrom(helper.make_node("GlobalAveragePool", [x], [pooled]))
        if not keeps:
            graph.node.insert(index + 1, helper.make_node("Flatten", [pooled], [mean]))


def to_int8_onnx(deployed: Deployed, meta: Mapping[str, Any]) -> bytes:
    """Export as `to_onnx` does, with weights of 8 bits.

    Activations are quantized at run time (ONNX Runtime's dynamic quantization).
    """
    with Needing("an export to ONNX with 8 bits", "deploy"):
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
        model = _model(deployed)
        del model.graph.value_info[:]  # shapes are inferred again, with the added nodes
        onnx.save(model, plain)
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # hides its advice on preprocessing
        try:
            quantize_dynamic(plain, small, weight_type=QuantType.QUInt8)
        finally:
            root.setLevel(level)
        return seal(onnx.load(small), meta)


def to_torch(deployed: Deployed, meta: Mapping[str, Any]) -> bytes:
    """Export to a `torch.export` program (`.pt2`) with `meta` as its extra file `pppl.json`."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path, program = Path(folder) / "program.pt2", _program(deployed)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # it names files of this machine
        torch.export.save(program, path, extra_files={"pppl.json": json.dumps(dict(meta))})
        return path.read_bytes()


def to_executorch(deployed: Deployed, _: Mapping[str, Any]) -> bytes:
    """Export to an ExecuTorch program (`.pte`) that takes one sample at a time and runs on XNNPACK.

    Raise `UserError` if ExecuTorch is not installed.
    """
    with Needing("an export to ExecuTorch", "executorch"):
        lower = importlib.import_module("executorch.exir").to_edge_transform_and_lower
        xnnpack = importlib.import_module("executorch.backends.xnnpack.partition.xnnpack_partitioner")

    with _quiet():
        program = _program(deployed, batches=False)
        return lower(program, partitioner=[xnnpack.XnnpackPartitioner()]).to_executorch().buffer


Export = Callable[[Deployed, Mapping[str, Any]], bytes]
# The function that makes a file, and the file's suffix, by the name of the format.
FORMATS: dict[str, tuple[Export, str]] = {
    "onnx": (to_onnx, ".onnx"),
    "onnx-int8": (to_int8_onnx, ".int8.onnx"),
    "torch": (to_torch, ".pt2"),
    "executorch": (to_executorch, ".pte"),
}

"""Weight files of other programs, opened as named tensors that are read on access and never unpickled."""

import json
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors
import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from ..system.errors import UserError

# Limits on the depth and the number of nested sections. A usual checkpoint has two or three sections.
_DEEPEST, _MOST_SECTIONS = 5, 1000
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A tensor of a file.

    - `section`: keys of the nested dictionaries that hold the tensor, joined by dots. In the tensor's full name, its
      own key follows.
    - `shape`: shape that the file states, known before any values are read.
    - `read`: function that returns the tensor, on the CPU. It raises `UserError` for a tensor without plain values
      (meta, quantized or sparse).
    """

    section: str
    shape: tuple[int, ...]
    read: Callable[[], Tensor]


@contextmanager
def open_checkpoint(path: Path) -> Iterator[dict[str, Entry]]:
    """Open a `.npz`, `.safetensors` or PyTorch file and yield its tensors by their full names.

    The content of the file decides its format. Raise `UserError`, here or when a tensor is read, if the file has none
    of these formats, is damaged, or would need unpickling.

    ```python
    with open_checkpoint(Path("weights.safetensors")) as entries:
        weight = entries["conv1.weight"].read()
    ```
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, perhaps a sharded checkpoint: join it into one file of weights")
    try:
        with path.open("rb") as file:
            head = file.read(9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix == ".safetensors" or (head[8:] == b"{" and not head.startswith(b"{")):
                with safetensors.safe_open(path, "pt") as tensors:
                    yield _of_safetensors(tensors)
            elif head.startswith(b"PK") and _holds_arrays(path):
                with zipfile.ZipFile(path) as archive:
                    yield _of_arrays(archive)
            else:
                yield _of_tree(torch.load(path, map_location="cpu", weights_only=True), path)
    except FileNotFoundError as error:
        raise UserError(f"no file {path}: name a state dict, .npz, .safetensors or a checkpoint") from error
    except UserError:
        raise
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is truncated or no safetensors file") from error
    except Exception as error:  # numpy, zlib, pickle, tarfile and torch raise dozens of types for damaged files
        raise UserError(
            f"{path} holds no weights that can be read safely{_why(path)}: save a plain state dict"
        ) from error


def _why(path: Path) -> str:
    """Return why a file cannot be read, as far as its content shows."""
    if path.suffix == ".json":
        return _index(path)
    try:
        names = get_unsafe_globals_in_checkpoint(path)
    except Exception:  # as above, and for files from before PyTorch 1.6
        return " (it is truncated, of another kind, or of a whole module)"
    if any("DTensor" in name for name in names):
        return " (it holds parts of tensors, DTensor: gather them with full_tensor())"
    shown = ", ".join(names[:2]) + (", ..." if len(names) > 2 else "")
    return f" (it holds pickled objects, {shown}: a whole module or settings beside the weights)" if names else ""


def _index(path: Path) -> str:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        files = sorted({str(name) for name in tree["weight_map"].values()})
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return " (it is JSON)"
    return (
        f" (it is the index of a sharded checkpoint, {len(files)} files such as {files[0]}: join them)" if files else ""
    )


def _of_safetensors(file: Any) -> dict[str, Entry]:
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (not a dict)
    return {
        name: Entry(section="", shape=shape, read=lambda name=name: file.get_tensor(name))
        for name, shape in shapes.items()
    }


def _holds_arrays(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith(".npy") for name in archive.namelist())


def _of_arrays(archive: zipfile.ZipFile) -> dict[str, Entry]:
    entries = {}
    for member in archive.infolist():
        if not member.filename.endswith(".npy"):
            continue
        with archive.open(member) as file:
            shape, dtype = _header(file)
            whole = file.tell() + dtype.itemsize * int(np.prod(shape, dtype=object))
        if whole != member.file_size:
            raise ValueError(f"{member.filename} has another size than its header states")
        name = member.filename.removesuffix(".npy").replace("/", ".")  # some programs write modules as folders
        entries[name] = Entry(section="", shape=shape, read=lambda member=member: _array(archive, member))
    return entries


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    shape, _, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    if dtype.hasobject or dtype.kind not in "fiub":
        raise ValueError(f"an array of {dtype}")
    return shape, dtype


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Tensor:
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def _of_tree(tree: Any, path: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    seen = 0

    def walk(node: Mapping[Any, Any], section: str, depth: int) -> None:
        nonlocal seen
        seen += 1
        if depth > _DEEPEST or seen > _MOST_SECTIONS:  # a dictionary may contain itself
            return
        for key, value in node.items():
            name = f"{section}.{key}" if section else str(key)
            if isinstance(key, str) and isinstance(value, Tensor):
                read = lambda name=name, value=value: _plain(path, name, value)  # noqa: E731
                entries.setdefault(name, Entry(section=section, shape=tuple(value.shape), read=read))
            elif isinstance(key, str) and isinstance(value, Mapping):
                walk(value, name, depth + 1)

    if isinstance(tree, Mapping):
        walk(tree, "", 0)
    return entries


def _plain(path: Path, name: str, value: Tensor) -> Tensor:
    kind = "meta" if value.is_meta else "quantized" if value.is_quantized else str(value.layout)
    if kind != "torch.strided":
        hint = "there are no numbers in it" if value.is_meta else "dequantize it, or make it dense"
        raise UserError(f"{path} holds {name} as a {kind.removeprefix('torch.')} tensor: {hint}, and save it again")
    return value


def is_shard(path: Path) -> bool:
    """Return whether the file's name marks it as one part of a sharded checkpoint.

    >>> is_shard(Path("model-00001-of-00003.safetensors"))
    True
    """
    return re.search(r"-\d+-of-\d+\.", path.name) is not None

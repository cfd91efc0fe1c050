"""The delta file: a safetensors file whose header holds a table of parameters.

The file has these tensors: `positions`, the Golomb-Rice codes of all parameters in the order of the table; `values`, in
the same order; and `state.NAME`, a dense parameter or buffer. The header is checked before anything is decoded or
allocated.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..system.errors import UserError
from ..system.files import expand, output_folder, replacing
from .codec import Code, decode, encode
from .delta import Delta

_FORMAT = "pppl-delta 1"
_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
_STATE_DTYPES = _DTYPES | {"I64": torch.int64, "I32": torch.int32, "U8": torch.uint8, "BOOL": torch.bool}
# Limits of a header. A malicious one is rejected before it is parsed, which takes many times its size in memory.
_MOST_PARAMETERS, _MOST_TEXT = 10_000, 2 << 20


def write_delta(path: str | Path, delta: Delta, dtype: torch.dtype = torch.float32) -> None:
    """Write a delta to a file, its values as `dtype`: float32, float16, bfloat16 or float64.

    ```python
    write_delta("task.safetensors", delta, torch.float16)
    DeltaFile("task.safetensors").read()
    ```

    Raise `UserError` for another dtype, or if the folder cannot be made or written to.
    """
    tensors, header = _packed(delta, dtype)
    path = expand(path)
    output_folder(path.parent)
    with replacing(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=header)


def delta_bytes(delta: Delta, dtype: torch.dtype = torch.float32) -> int:
    """Return the size in bytes of the file that `write_delta` would write.

    ```python
    delta_bytes(delta, torch.float16)  # 2.1 kB of a network with 454 kB
    ```
    """
    tensors, header = _packed(delta, dtype)
    return len(safetensors.torch.save(tensors, metadata=header))


def _packed(delta: Delta, dtype: torch.dtype) -> tuple[dict[str, Tensor], dict[str, str]]:
    if dtype not in _DTYPES.values():
        raise UserError(f"a delta file cannot hold values of {dtype}: choose float32, float16 or bfloat16")
    table, codes, values = [], [], []
    for name, shape in delta.shapes.items():
        positions = delta.positions.get(name, torch.empty(0, dtype=torch.int64))
        code, coded = encode(positions.numpy(), shape.numel())
        table.append([name, list(shape), code.count, code.rice, code.unary_bytes])
        codes.append(coded)
        values.append(delta.values.get(name, torch.empty(0)).to(dtype))
    header = {
        "format": _FORMAT,
        "base_sha256": delta.base_sha256,
        "parameters": json.dumps(table, separators=(",", ":")),
        "task": json.dumps(dict(delta.metadata)),
    }
    positions = torch.from_numpy(np.frombuffer(b"".join(codes), np.uint8).copy())
    tensors = {"positions": positions, "values": torch.cat([torch.empty(0, dtype=dtype), *values])}
    tensors |= {f"state.{name}": tensor.contiguous() for name, tensor in delta.state.items()}
    return tensors, header


class DeltaFile:
    """An open delta file. Opening checks the header; the tensors are read on demand.

    ```python
    delta = DeltaFile("task.safetensors").read()
    ```

    **Attributes:**

    - `codes`, `shapes`: code and shape of each parameter, by name.
    - `base_sha256`, `metadata`: the same as in `Delta`.
    - `dtype`: dtype of the values.

    Raise `UserError` if the file is truncated, is not a delta file, or holds counts, sizes or shapes that do not match
    each other.
    """

    def __init__(self, path: str | Path):
        self.path = expand(path)
        try:
            self._file = safetensors.safe_open(self.path, "pt")
        except FileNotFoundError as error:
            raise UserError(f"{path} is not there: name a delta file") from error
        except (OSError, safetensors.SafetensorError) as error:
            raise UserError(f"{path} is truncated or no delta file") from error
        header = self._file.metadata() or {}
        if header.get("format") != _FORMAT:
            raise UserError(f"{path} is no delta file of this version ({_FORMAT})")
        names = set(self._file.keys())
        if not {"positions", "values"} <= names or any(not name.startswith("state.") for name in names - _OWN):
            raise self._damaged("it must hold the tensors `positions`, `values` and `state.NAME` only")
        self.base_sha256 = header.get("base_sha256", "")
        self.metadata = self._json(header, "task", _is_text)
        table = self._json(header, "parameters", _is_table)
        self.shapes = {name: torch.Size(shape) for name, shape, *_ in table}
        self.codes = {
            name: Code(size=prod(shape), count=count, rice=rice, unary_bytes=unary_bytes)
            for name, shape, count, rice, unary_bytes in table
        }
        if len(self.codes) != len(table):
            raise self._damaged("a parameter is named twice")
        for name, code in self.codes.items():
            if fault := code.fault():
                raise self._damaged(f"{name}: {fault}")
        self._positions, self._values = self._file.get_slice("positions"), self._file.get_slice("values")
        if self._positions.get_dtype() != "U8" or self._values.get_dtype() not in _DTYPES:
            raise self._damaged("its positions or values have the wrong dtype")
        self.dtype = _DTYPES[self._values.get_dtype()]
        sizes = [sum(getattr(code, key) for code in self.codes.values()) for key in ("bytes", "count")]
        for part, size in zip((self._positions, self._values), sizes, strict=True):
            if part.get_shape() != [size]:
                raise self._damaged("the sizes of its positions and values do not match its header")

    def windows(self) -> Iterator[tuple[str, np.ndarray, Tensor]]:
        """Yield parameter names with ascending positions and their values, in windows of bounded size.

        Raise `UserError` if the positions are damaged.
        """
        byte = value = 0
        for name, code in self.codes.items():
            try:
                for positions in decode(code, self._reader(byte)):
                    yield name, positions, self._values[value : value + len(positions)]
                    value += len(positions)
            except ValueError as error:
                raise self._damaged(f"{name}: {error}") from error
            byte += code.bytes

    def check(self, base_sha256: str) -> None:
        """Raise `UserError` if the file belongs to another base, or if any of its positions is impossible."""
        if self.base_sha256 != base_sha256:
            raise UserError(
                f"{self.path} belongs to another base ({self.base_sha256[:12]}, this one is {base_sha256[:12]}): "
                "load the network that it was trained on"
            )
        for _ in self.windows():
            pass

    @property
    def own(self) -> dict[str, tuple[torch.Size, torch.dtype | None]]:
        """Shapes and dtypes of the file's dense parameters and buffers, by name. An unsupported dtype is None."""
        slices = {name: self._file.get_slice(name) for name in sorted(set(self._file.keys()) - _OWN)}
        return {
            name.removeprefix("state."): (torch.Size(part.get_shape()), _STATE_DTYPES.get(part.get_dtype()))
            for name, part in slices.items()
        }

    def state(self) -> dict[str, Tensor]:
        """Return copies of the dense parameters and buffers, by name. Later changes of the file do not affect them."""
        return {name: self._file.get_tensor(f"state.{name}").clone() for name in self.own}

    def read(self) -> Delta:
        """Read the whole file."""
        positions: dict[str, list[Tensor]] = {}
        values: dict[str, list[Tensor]] = {}
        for name, where, what in self.windows():
            positions.setdefault(name, []).append(torch.from_numpy(where))
            values.setdefault(name, []).append(what)
        return Delta(
            shapes=self.shapes,
            positions={name: torch.cat(parts) for name, parts in positions.items()},
            values={name: torch.cat(parts) for name, parts in values.items()},
            state=self.state(),
            base_sha256=self.base_sha256,
            metadata=self.metadata,
        )

    def _reader(self, offset: int) -> Callable[[int, int], np.ndarray]:
        return lambda start, stop: self._positions[offset + start : offset + stop].numpy()

    def _json(self, header: Mapping[str, str], key: str, right: Callable[[Any], bool]) -> Any:
        text = header.get(key, "")
        if len(text) > _MOST_TEXT:
            raise self._damaged(f"entry {key!r} of its header is too long: {len(text):,} characters")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"entry {key!r} of its header is missing or is not JSON") from error
        if not right(value):
            raise self._damaged(f"entry {key!r} of its header is invalid")
        return value

    def _damaged(self, reason: str) -> UserError:
        return UserError(f"{self.path} is damaged ({reason}): fetch or make it again")


_OWN = {"positions", "values"}


def _is_text(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _MOST_PARAMETERS and all(map(_is_row, value))


def _is_row(row: Any) -> bool:
    """Check for a name, a shape and three integers of at least 0. Booleans do not count as integers."""
    if not isinstance(row, list) or len(row) != 5 or not isinstance(row[0], str) or not isinstance(row[1], list):
        return False
    return len(row[1]) <= 8 and all(type(number) is int and 0 <= number < 2**31 for number in [*row[1], *row[2:]])

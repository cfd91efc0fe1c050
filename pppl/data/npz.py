"""The identity-dataset format: one `.npz` file of plain arrays, which is also how users bring their own data."""

import difflib
import lzma
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError, unknown
from ..files import expanded
from .identities import TEST, TRAIN, IdentityDataset

_REQUIRED, _PER_SAMPLE = ("x", "y", "classes"), ("x", "y", "identity", "split")
_KNOWN = (*_REQUIRED, "identity", "identities", "split", "scale", "offset")
_MISSPELT = 0.8  # how like a known name another is that is taken for a slip
_STORED = {"u1": np.uint8, "f2": np.float16, "f4": np.float32, "f8": np.float32}  # as kept in memory
# All that numpy and zipfile raise on damaged or encrypted files.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, KeyError, RuntimeError, MemoryError)


def load_npz(path: str | Path) -> IdentityDataset:
    """Reads an `.npz` file, named by the file's stem. Nothing is unpickled, and other arrays are not read.

    | array | shape | meaning |
    |---|---|---|
    | `x` | `(N, C, H, W)` or `(N, C, T)` | uint8, float16, float32, or float64, which becomes float32 |
    | `y` | `(N,)` | class index |
    | `classes` | `(K,)` | class names |
    | `identity` | `(N,)`, optional | person index |
    | `identities` | `(P,)`, optional | person names |
    | `split` | `(N,)`, optional | 0 train, 1 validation, 2 test |
    | `scale`, `offset` | `(1,)` or `(C,)`, optional | physical value = x * scale + offset |

    Raises `UserError` where the file is not there, cannot be read or is not of this format, and where an array's name
    is nearly one of these.
    """
    path = expanded(path)
    with _opened(path) as file:
        return _dataset(_Arrays(path, file))


def _opened(path: Path) -> zipfile.ZipFile:
    if not path.is_file():
        raise _not_found(path)
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is no .npz file: write it with np.savez") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def read_samples_npz(path: Path, classes: Sequence[str]) -> tuple[Tensor, Tensor | None]:
    """Samples of somebody: physical values, `(N, C, ...)` float32, and class indices where the file has `y`.

    Of the arrays that `load_npz` reads `x` suffices. `y` counts in the file's own `classes`, where it has them.

    **Arguments:**

    - `classes`: names of the classes that labels are given in.

    Raises `UserError` as `load_npz` does, and where a label is of none of the classes.
    """
    with _opened(path) as file:
        arrays = _Arrays(path, file)
        _check_shapes(arrays, ("x",))
        x, per_channel = _samples(arrays).float(), (-1, *(1,) * (len(arrays.shapes["x"]) - 2))
        scale, offset = (_per_channel(arrays, *each).view(per_channel) for each in (("scale", 1.0), ("offset", 0.0)))
        labels = _labels(arrays, classes) if "y" in arrays else None
    return torch.addcmul(offset, x, scale), labels


def _labels(arrays: "_Arrays", classes: Sequence[str]) -> Tensor:
    named = arrays.names("classes") if "classes" in arrays else tuple(classes)
    y = arrays.indices("y", "classes", len(named), several=False)
    for name in np.unique(np.array(named)[y]):
        if name not in classes:
            raise UserError(f"{arrays.path}: {unknown('class', str(name), classes)}")
    return torch.tensor([classes.index(named[label]) for label in y])


def _not_found(path: Path) -> UserError:
    nearest = difflib.get_close_matches(
        path.name, [file.name for file in path.parent.glob("[!.]*.npz")], n=1, cutoff=0.5
    )
    remedy = f"did you mean {str(path.with_name(nearest[0]))!r}?" if nearest else "give the path of an .npz file"
    return UserError(f"no such file: {str(path)!r}: {remedy}")


@contextmanager
def _undamaged(what: object) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{what} cannot be read, it is damaged ({reason}): write or copy it again") from error


class _Arrays:
    """The arrays of a file: their shapes and types are known, and checked, before any is read."""

    def __init__(self, path: Path, file: zipfile.ZipFile):
        self.path, self._file = path, file
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, np.dtype] = {}
        there = {name.removesuffix(".npy") for name in file.namelist()}
        for name in sorted(there.difference(_KNOWN)):
            if meant := difflib.get_close_matches(name, set(_KNOWN) - there, n=1, cutoff=_MISSPELT):
                remedy = f"did you mean {meant[0]!r}? Rename it or leave it out"
                raise UserError(f"{path}: array {name!r} is not known: {remedy}")
        for name in _KNOWN:
            if name in there:
                with _undamaged(f"{name} in {path}"):
                    self.shapes[name], self.dtypes[name] = self._header(name)
                if self.dtypes[name].hasobject:
                    raise self.error(
                        f"{name} holds Python objects, which are pickles and are not read", "numbers or text"
                    )

    def _header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        with self._file.open(f"{name}.npy") as stream:
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = readers[np.lib.format.read_magic(stream)](stream)
            rest = self._file.getinfo(f"{name}.npy").file_size - stream.tell()
        # A few bytes must not make numpy ask for terabytes.
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize != rest:
            raise ValueError(f"{rest} bytes for shape {shape} of {dtype}")
        return shape, dtype

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def error(self, wrong: str, remedy: str) -> UserError:
        return UserError(f"{self.path}: {wrong}; write {remedy}")

    def read(self, name: str) -> np.ndarray:
        with _undamaged(f"{name} in {self.path}"), self._file.open(f"{name}.npy") as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    def names(self, name: str) -> tuple[str, ...]:
        """Class names or names of people."""
        if self.dtypes[name].kind not in "US" or len(self.shapes[name]) != 1:
            wrong = f"{name} is {self.dtypes[name]} of shape {self.shapes[name]}"
            raise self.error(wrong, f"one name each as text, such as np.array(['{name} 1', '{name} 2'])")
        array = self.read(name)
        if array.dtype.kind == "S":
            with _undamaged(f"{name} in {self.path}"):
                array = np.char.decode(array, "utf-8")
        values, counts = np.unique(array, return_counts=True)
        if (counts > 1).any():
            raise self.error(f"{name} holds {str(values[counts.argmax()])!r} {counts.max()} times", "every name once")
        joined = next((each for each in array.tolist() if "+" in each or ":" in each), None)
        if joined is not None:
            raise self.error(f"{name} holds {joined!r}", "names without + and :, which join names in tables")
        return tuple(array.tolist())

    def indices(self, name: str, kinds: str, below: int | None, *, several: bool = True) -> np.ndarray:
        """`(N,)` int64 in `[0, below)`, where it is known; at least two different ones, unless `several` is False."""
        if self.dtypes[name].kind not in "iu":
            raise self.error(f"{name} is {self.dtypes[name]}", "an integer for each sample, the index of its name")
        array = self.read(name)
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= (2**63 if below is None else below):
            there = "" if below is None else f", but there are {below} {kinds}"
            raise self.error(f"{name} goes from {low} to {high}{there}", f"indices of {kinds}, from 0")
        if several and low == high:
            raise self.error(f"{name} is {low} for all samples", f"samples of at least 2 {kinds}")
        return array.astype(np.int64, copy=False)


def _dataset(arrays: _Arrays) -> IdentityDataset:
    _check_shapes(arrays)
    classes = arrays.names("classes")
    y = arrays.indices("y", "classes", len(classes))
    identity, identities = _people(arrays)
    split = _split(arrays)
    scale, offset = _per_channel(arrays, "scale", 1.0), _per_channel(arrays, "offset", 0.0)
    return IdentityDataset(
        name=arrays.path.stem,
        x=_samples(arrays),
        y=torch.from_numpy(y),
        classes=classes,
        split=split,
        identity=identity,
        identities=identities,
        scale=scale,
        offset=offset,
    )


def _check_shapes(arrays: _Arrays, required: Sequence[str] = _REQUIRED) -> None:
    missing = [name for name in required if name not in arrays]
    if missing:
        raise arrays.error(f"{' and '.join(missing)} missing", f"them with np.savez: {', '.join(required)}")
    shape, dtype = arrays.shapes["x"], arrays.dtypes["x"]
    if len(shape) not in (3, 4):
        raise arrays.error(f"x has shape {shape}", "(N, C, H, W) for images or (N, C, T) for series, C 1 if need be")
    if 0 in shape:
        raise arrays.error(f"x is empty, its shape is {shape}", "at least one sample")
    if f"{dtype.kind}{dtype.itemsize}" not in _STORED:
        raise arrays.error(f"x is {dtype}", "uint8, float16 or float32")
    for name in _PER_SAMPLE[1:]:
        if name in arrays and len(arrays.shapes[name]) != 1:
            raise arrays.error(f"{name} has shape {arrays.shapes[name]}", "one number for each sample, (N,)")
    lengths = {name: arrays.shapes[name][0] for name in _PER_SAMPLE if name in arrays}
    if len(set(lengths.values())) > 1:
        unequal = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise arrays.error(f"arrays of unequal length: {unequal}", "one entry for each sample")


def _people(arrays: _Arrays) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if "identity" not in arrays:
        if "identities" in arrays:
            raise arrays.error("identities without identity", "identity, (N,): whose each sample is")
        return None, ()
    if "identities" in arrays:
        names = arrays.names("identities")
        return arrays.indices("identity", "identities", len(names)), names
    numbers, identity = np.unique(arrays.indices("identity", "identities", None), return_inverse=True)
    return identity.astype(np.int64), tuple(f"person{number + 1:04d}" for number in numbers)


def _split(arrays: _Arrays) -> np.ndarray | None:
    if "split" not in arrays:
        return None
    split = arrays.read("split")
    values = np.unique(split).tolist()
    if split.dtype.kind not in "iu" or values[0] < TRAIN or values[-1] > TEST:
        raise arrays.error(f"split holds {', '.join(map(str, values[:5]))}", "0 train, 1 validation, 2 test")
    if TRAIN not in values:
        raise arrays.error("split has no training sample", "0 for those to train on, or leave split out")
    return split.astype(np.uint8, copy=False)


def _per_channel(arrays: _Arrays, name: str, default: float) -> Tensor:
    if name not in arrays:
        return torch.full((1,), default)
    channels = arrays.shapes["x"][1]
    if arrays.shapes[name] not in ((1,), (channels,)) or arrays.dtypes[name].kind not in "iuf":
        wrong = f"{name} is {arrays.dtypes[name]} of shape {arrays.shapes[name]}"
        raise arrays.error(wrong, f"one number, or one for each of the {channels} channels")
    with np.errstate(over="ignore"):
        values = arrays.read(name).astype(np.float32)
    if not np.isfinite(values).all():
        raise arrays.error(f"{name} is not finite", "finite numbers")
    return torch.from_numpy(values)


def _samples(arrays: _Arrays) -> Tensor:
    dtype = arrays.dtypes["x"]
    x = arrays.read("x")
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(x, _STORED[f"{dtype.kind}{dtype.itemsize}"])  # copies only what is not so already
    if dtype.kind == "f":
        for start in range(0, len(x), 1024):  # a part at a time, for no mask of the size of x
            finite = np.isfinite(x[start : start + 1024]).reshape(len(x[start : start + 1024]), -1).all(1)
            if not finite.all():
                wrong = f"x holds NaN or infinite values, the first in sample {start + int(finite.argmin())}"
                raise arrays.error(wrong, "finite values")
    return torch.from_numpy(x)

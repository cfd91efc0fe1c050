"""Safe reading of `.npz` and `.npy` files: headers are checked first, sizes are bounded, nothing is unpickled."""

import difflib
import errno
import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..system.errors import UserError, first_line

KNOWN = ("x", "y", "classes", "identity", "identities", "split", "recording", "scale", "offset", "task")
_MISSPELT = 0.8  # similarity to a known name from which an unknown name is taken for a misspelling
# Limits against files that are made to fill memory. Samples are rejected if they are larger than `_BOMB` bytes and more
# than `_SHRUNK` times as large as their compressed form; texts if they are larger than `_MOST_NAMES` bytes.
_BOMB, _SHRUNK, _MOST_NAMES = 1 << 26, 200, 1 << 25


def read_npy(path: Path, dtype: torch.dtype = torch.float32) -> Tensor:
    """Read the numbers of an `.npy` file as `dtype`.

    The file is memory-mapped first, so one that is too short for its shape is rejected before memory is allocated.
    Raise `UserError` if it cannot be read or holds no numbers.
    """
    try:
        with _unwarned():
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "uif":
            raise ValueError(f"it holds {getattr(array, 'dtype', 'several arrays')}, not numbers")
        with np.errstate(over="ignore"):
            return torch.from_numpy(np.array(array, np.float64 if dtype == torch.float64 else np.float32))
    except Exception as error:  # numpy passes on all kinds of errors of its header parser
        raise UserError(f"{path} is no array that can be read ({first_line(error)}): write it with np.save") from error


def open_arrays(path: Path) -> zipfile.ZipFile:
    """Open an `.npz` file. Raise `UserError` if it does not exist or cannot be read."""
    if not path.is_file():
        raise _not_found(path)
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        if error.strerror and error.errno != errno.EINVAL:  # EINVAL is from a seek to before the file's start
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        raise UserError(f"{path} is no .npz file: write it with np.savez") from error
    except Exception as error:  # zipfile raises a dozen kinds of errors on a file that is no archive
        raise UserError(f"{path} is no .npz file: write it with np.savez") from error


def _not_found(path: Path) -> UserError:
    nearest = difflib.get_close_matches(
        path.name, [file.name for file in path.parent.glob("[!.]*.npz")], n=1, cutoff=0.5
    )
    remedy = f"did you mean {str(path.with_name(nearest[0]))!r}?" if nearest else "give the path of an .npz file"
    return UserError(f"no such file: {str(path)!r}: {remedy}")


@contextmanager
def _unwarned() -> Iterator[None]:
    """Suppress numpy's warnings about unusual headers, which it reads nevertheless."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _undamaged(what: object) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # numpy and zipfile raise a dozen kinds of errors on damaged or encrypted files
        raise UserError(
            f"{what} cannot be read, it is damaged ({first_line(error)}): write or copy it again"
        ) from error


class Arrays:
    """The arrays of an `.npz` file. Their shapes and data types are checked before any array is read.

    - `shapes`, `dtypes`: shape and data type of each known array in the file.

    Raise `UserError` if a header is damaged, an array holds Python objects, or a name looks misspelt.
    """

    def __init__(self, path: Path, file: zipfile.ZipFile):
        self.path, self._file = path, file
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, np.dtype] = {}
        there = {name.removesuffix(".npy") for name in file.namelist()}
        for name in sorted(there.difference(KNOWN)):
            if meant := difflib.get_close_matches(name, set(KNOWN) - there, n=1, cutoff=_MISSPELT):
                remedy = f"did you mean {meant[0]!r}? Rename it or leave it out"
                raise UserError(f"{path}: array {name!r} is not known: {remedy}")
        for name in KNOWN:
            if name in there:
                with _undamaged(f"{name} in {path}"), _unwarned():
                    self.shapes[name], self.dtypes[name] = self._header(name)
                if self.dtypes[name].hasobject:
                    raise self.error(
                        f"{name} holds Python objects, which are never read, since pickles are unsafe",
                        "numbers or text",
                    )

    def _header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        with self._file.open(f"{name}.npy") as stream:
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = readers[np.lib.format.read_magic(stream)](stream)
            stored = self._file.getinfo(f"{name}.npy")
            rest = stored.file_size - stream.tell()
        # A few bytes must not make numpy ask for terabytes.
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize != rest:
            raise ValueError(f"{rest} bytes for shape {shape} of {dtype}")
        if name == "x" and rest > max(_BOMB, _SHRUNK * stored.compress_size):
            raise ValueError(f"{rest:,} bytes out of {stored.compress_size:,}; np.savez compresses nothing")
        return shape, dtype

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def error(self, wrong: str, remedy: str) -> UserError:
        """Return an error that names the file and what is wrong, and tells the user to write `remedy`."""
        return UserError(f"{self.path}: {wrong}; write {remedy}")

    def read(self, name: str) -> np.ndarray:
        """Read an array. Raise `UserError` if it is damaged, or if it is a text array of far too many bytes."""
        dtype, shape = self.dtypes[name], self.shapes[name]
        if dtype.kind not in "iufb" and math.prod(shape) * dtype.itemsize > _MOST_NAMES:
            raise self.error(f"{name} is {dtype} of shape {shape}", "less of it, and shorter")
        with _undamaged(f"{name} in {self.path}"), _unwarned(), self._file.open(f"{name}.npy") as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    def text(self, name: str) -> str:
        """Read a single text. Raise `UserError` if it is none."""
        if self.dtypes[name].kind not in "US" or self.shapes[name] not in ((), (1,)):
            raise self.error(f"{name} is {self.dtypes[name]} of shape {self.shapes[name]}", "one text")
        value = self.read(name).reshape(-1)[0]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def names(self, name: str) -> tuple[str, ...]:
        """Read names of classes or people.

        Raise `UserError` if they are not text, not unique, or contain `+` or `:`.
        """
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
        """Read indices, `(N,)` int64.

        Raise `UserError` if they are not integers in `[0, below)`, or all the same although `several` is set.

        **Arguments:**

        - `kinds`: the things that are numbered, in the plural, for error messages.
        - `below`: number of things; None if it is unknown.
        - `several`: whether at least two different indices must occur.
        """
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

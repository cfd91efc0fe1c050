"""The identity-dataset format: one `.npz` file of plain arrays. Users bring their own data in it, too."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..system.errors import UserError, unknown
from ..system.files import expand
from .arrays import Arrays, open_arrays
from .identities import TEST, TRAIN, IdentityDataset
from .precision import PART, in_single_precision
from .target_arrays import is_regression, read_numbers

_REQUIRED, _PER_SAMPLE = ("x", "y", "classes"), ("x", "y", "identity", "split", "recording")
_STORED = ("u1", "f2", "f4", "f8")
_MOST_OF_SOMEBODY = 1 << 20  # samples of a person; each of them gets a name


def load_npz(path: str | Path) -> IdentityDataset:
    """Read an `.npz` file as a data set named like the file, without its suffix.

    Nothing is unpickled, and arrays that are not in this table are not read.

    | array | shape | meaning |
    |---|---|---|
    | `x` | `(N, C, H, W)` or `(N, C, T)` | uint8, float16, float32, or float64, which becomes float32 |
    | `y` | `(N,)` | class index; without `classes` any number from 0, which becomes the class name |
    | | `(N,)` or `(N, D)` | numbers to predict: fractions, or any with `task` |
    | `task` | one text, optional | `regression` for whole numbers that are to be predicted |
    | `classes` | `(K,)`, optional | class names |
    | `identity` | `(N,)`, optional | person index; without `identities` any number from 0, such as 7 for `person0007` |
    | `identities` | `(P,)`, optional | person names |
    | `split` | `(N,)`, optional | 0 train, 1 validation, 2 test |
    | `recording` | `(N,)`, optional | number of the recording that a sample was cut from; a split never divides one |
    | `scale`, `offset` | `(1,)` or `(C,)`, optional | physical value = x * scale + offset |

    Raise `UserError` if the file does not exist, cannot be read or is not in this format, or if the name of an array
    looks like a misspelling of one of these.

    ```python
    np.savez("pets.npz", x=images, y=labels, classes=["cat", "dog"], identity=owners)
    dataset = load_npz("pets.npz")
    ```
    """
    path = expand(path)
    with open_arrays(path) as file:
        return _dataset(Arrays(path, file))


def read_samples_npz(
    path: Path, classes: Sequence[str], dtype: torch.dtype = torch.float32, *, outputs: int = 0
) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Read a person's samples from an `.npz` file that needs no array but `x`.

    If the file has `classes`, `y` holds indices into them. If it has not, the numbers in `y` are class names if all of
    them are names in `classes`, else indices into `classes`.

    **Arguments:**

    - `classes`: class names of the network; the returned labels are indices into them.
    - `dtype`: of the returned values; float64 keeps all digits of the file.
    - `outputs`: how many numbers the network predicts; 0 if it has classes.

    **Returns:** physical values `(N, C, ...)`; class indices `(N,)` or numbers `(N, outputs)`, or None if the file has
    no `y`; and notes about the file, a line each.

    Raise `UserError` as `load_npz` does, and if a label is none of the classes.
    """
    with open_arrays(path) as file:
        arrays = Arrays(path, file)
        _check_shapes(arrays, ("x",))
        if (count := arrays.shapes["x"][0]) > _MOST_OF_SOMEBODY:
            raise arrays.error(f"x holds {count:,} samples", f"at most {_MOST_OF_SOMEBODY:,} samples into one file")
        x, per_channel = _as_stored(arrays, dtype).to(dtype), (-1, *(1,) * (len(arrays.shapes["x"]) - 2))
        scale, offset = (
            _per_channel(arrays, *each).to(dtype).view(per_channel) for each in (("scale", 1.0), ("offset", 0.0))
        )
        if "y" not in arrays:
            labels, notes = None, ()
        else:
            labels, notes = _numbers(arrays, outputs) if outputs else _labels(arrays, classes)
    return torch.addcmul(offset, x, scale), labels, notes


def _numbers(arrays: Arrays, outputs: int) -> tuple[Tensor, tuple[str, ...]]:
    y = read_numbers(arrays)
    if y.shape[1] != outputs:
        raise arrays.error(f"y holds {y.shape[1]} numbers for each sample", f"{outputs}, as the network predicts")
    return y, ()


def _labels(arrays: Arrays, classes: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    if "classes" not in arrays and arrays.dtypes["y"].kind in "iu":
        y = arrays.read("y").tolist()
        numbers = sorted(set(y))
        if {str(number) for number in numbers} <= set(classes):  # every number is a class name
            same = all(number < len(classes) and classes[number] == str(number) for number in numbers)
            note = f"{arrays.path}: y is read as names of classes, {numbers[0]} to {numbers[-1]}, not as their indices"
            return torch.tensor([classes.index(str(number)) for number in y]), () if same else (note,)
    named = arrays.names("classes") if "classes" in arrays else tuple(classes)
    y = arrays.indices("y", "classes", len(named), several=False)
    for name in np.unique(np.array(named)[y]):
        if name not in classes:
            raise UserError(f"{arrays.path}: {unknown('class', str(name), classes)}")
    return torch.tensor([classes.index(named[label]) for label in y]), ()


def _dataset(arrays: Arrays) -> IdentityDataset:
    _check_shapes(arrays)
    targets, classes, task = _targets(arrays)
    identity, identities = _people(arrays)
    split = _split(arrays)
    recording = arrays.indices("recording", "recordings", None, several=False) if "recording" in arrays else None
    scale, offset = _per_channel(arrays, "scale", 1.0), _per_channel(arrays, "offset", 0.0)
    x, center = in_single_precision(_as_stored(arrays, torch.float32))
    return IdentityDataset(
        name=arrays.path.stem,
        x=x,
        y=targets,
        classes=classes,
        task=task,
        split=split,
        identity=identity,
        identities=identities,
        recording=recording,
        scale=scale,
        offset=offset,
        center=center,
    )


def _targets(arrays: Arrays) -> tuple[Tensor, tuple[str, ...], str]:
    """Return targets, `(N,)` int64 or `(N, D)` float32, class names, and the task."""
    if is_regression(arrays):
        return read_numbers(arrays), (), "regression"
    y, classes = _classes(arrays)
    return torch.from_numpy(y), classes, "classification"


def _classes(arrays: Arrays) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return class indices, `(N,)` int64, and class names. Without `classes` the numbers in `y` become the names."""
    if "classes" in arrays:
        classes = arrays.names("classes")
        return arrays.indices("y", "classes", len(classes)), classes
    numbers, y = np.unique(arrays.indices("y", "classes", None), return_inverse=True)
    return y.astype(np.int64), tuple(map(str, numbers.tolist()))


def _check_shapes(arrays: Arrays, required: Sequence[str] = _REQUIRED) -> None:
    missing = [name for name in required if name not in arrays]
    if missing and missing != ["classes"]:  # without `classes` the numbers in y become the names
        raise arrays.error(f"{' and '.join(missing)} missing", f"them with np.savez: {', '.join(required)}")
    shape, dtype = arrays.shapes["x"], arrays.dtypes["x"]
    if len(shape) not in (3, 4):
        raise arrays.error(f"x has shape {shape}", "(N, C, H, W) for images or (N, C, T) for series; C may be 1")
    if 0 in shape:
        raise arrays.error(f"x is empty, its shape is {shape}", "at least one sample")
    if f"{dtype.kind}{dtype.itemsize}" not in _STORED:
        raise arrays.error(f"x is {dtype}", "uint8, float16 or float32")
    for name in _PER_SAMPLE[1:]:
        is_numbers = name == "y" and "classes" not in arrays and "y" in arrays and arrays.dtypes["y"].kind == "f"
        most = 2 if is_numbers else 1
        if name in arrays and not 1 <= len(arrays.shapes[name]) <= most:
            raise arrays.error(f"{name} has shape {arrays.shapes[name]}", "one number for each sample, (N,)")
    lengths = {name: arrays.shapes[name][0] for name in _PER_SAMPLE if name in arrays}
    if len(set(lengths.values())) > 1:
        unequal = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise arrays.error(f"arrays of unequal length: {unequal}", "one entry for each sample")


def _people(arrays: Arrays) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if "identity" not in arrays:
        if "identities" in arrays:
            raise arrays.error("identities without identity", "identity, (N,): the person index of each sample")
        return None, ()
    if "identities" in arrays:
        names = arrays.names("identities")
        return arrays.indices("identity", "identities", len(names)), names
    numbers, identity = np.unique(arrays.indices("identity", "identities", None), return_inverse=True)
    return identity.astype(np.int64), tuple(f"person{number:04d}" for number in numbers)


def _split(arrays: Arrays) -> np.ndarray | None:
    if "split" not in arrays:
        return None
    split = arrays.read("split")
    values = np.unique(split).tolist()
    if split.dtype.kind not in "iu" or values[0] < TRAIN or values[-1] > TEST:
        raise arrays.error(f"split holds {', '.join(map(str, values[:5]))}", "0 train, 1 validation, 2 test")
    if TRAIN not in values:
        raise arrays.error("split has no training sample", "0 for training samples, or leave split out")
    return split.astype(np.uint8, copy=False)


def _per_channel(arrays: Arrays, name: str, default: float) -> Tensor:
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


def _as_stored(arrays: Arrays, dtype: torch.dtype) -> Tensor:
    """Return `x` in its stored data type and in native byte order.

    Raise `UserError` if `x` has values that are not finite in `dtype`.
    """
    kind = arrays.dtypes["x"]
    x = np.ascontiguousarray(arrays.read("x"), kind.newbyteorder("="))  # copies only if needed
    if kind.kind == "f":
        most = np.finfo(np.float64 if dtype == torch.float64 else np.float32).max
        for start in range(0, len(x), PART):
            part = x[start : start + PART].reshape(len(x[start : start + PART]), -1)
            finite = (np.abs(part) <= most).all(1)
            if not finite.all():
                wrong = f"x holds NaN or infinite values, the first in sample {start + int(finite.argmin())}"
                raise arrays.error(wrong, "finite values")
    return torch.from_numpy(x)

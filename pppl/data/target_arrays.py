"""Targets in an `.npz` file: class indices, or numbers to predict."""

import numpy as np
import torch
from torch import Tensor

from ..system.progress import notice
from .arrays import Arrays

_MOST_OUTPUTS = 4096  # numbers per sample


def is_regression(arrays: Arrays) -> bool:
    """Return whether the targets of a file are numbers to predict.

    They are if `y` holds fractions or several numbers per sample, or if the file says so in `task`. Whole numbers that
    are stored as floats are class indices, as they are after many a computation; a notice says so.

    Raise `UserError` if `task` is another one, or if there are classes besides.
    """
    task = arrays.text("task") if "task" in arrays else ""
    if task not in ("", "classification", "regression"):
        raise arrays.error(f"task is {task!r}", "classification or regression, or leave it out")
    is_float = arrays.dtypes["y"].kind == "f"
    if task == "regression" or ("classes" not in arrays and is_float and task != "classification"):
        fractions = task == "regression" or len(arrays.shapes["y"]) > 1 or not _are_whole(arrays.read("y"))
        if fractions and "classes" in arrays:
            raise arrays.error("task is regression, and there are classes", "one of the two")
        if not fractions:
            told = "y holds whole numbers as floats, which are read as class indices"
            notice(f"{arrays.path}: {told}; for a regression, add task='regression' to np.savez")
        return fractions
    return False


def _are_whole(y: np.ndarray) -> bool:
    return y.ndim == 1 and bool(np.isfinite(y).all()) and bool((y == np.floor(y)).all())


def read_numbers(arrays: Arrays) -> Tensor:
    """Return the numbers to predict, `(N, D)` float32.

    Raise `UserError` if they are no numbers, not finite, or the same for every sample.
    """
    shape, kind = arrays.shapes["y"], arrays.dtypes["y"].kind
    if kind not in "fiu" or len(shape) not in (1, 2) or not 1 <= (shape[1] if len(shape) == 2 else 1) <= _MOST_OUTPUTS:
        raise arrays.error(f"y is {arrays.dtypes['y']} of shape {shape}", "a number for each sample, (N,) or (N, D)")
    y = arrays.read("y").astype(np.float64)
    y = y.reshape(len(y), -1)
    finite = np.isfinite(y).all(1)
    if not finite.all():
        wrong = f"y holds NaN or infinite values, the first in sample {int((~finite).argmax())}"
        raise arrays.error(wrong, "a finite number for each sample, or leave the sample out")
    if len(y) > 1 and (y == y[0]).all():
        raise arrays.error("y is the same for all samples", "numbers that differ")
    return torch.from_numpy(y.astype(np.float32))

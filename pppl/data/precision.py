"""Float64 samples in single precision, without losing the digits in which they differ."""

import numpy as np
import torch
from torch import Tensor

from .identities import FAR

PART = 1024  # samples processed at a time, to avoid a copy as large as all
_EXACT = float(np.finfo(np.float64).eps) * 1e4  # a smaller ratio of spread to mean is rounding noise, even in float64


def in_single_precision(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return samples `(N, C, ...)` as they are kept in memory, and the `center` of the data set, `(C,)` or None.

    float64 becomes float32, and other types stay. If that would lose digits, the channel means are subtracted from `x`
    first. The center is then minus these means: subtracting it gives the original values.

    >>> in_single_precision(torch.tensor([[[1e9, 1e9 + 1]]], dtype=torch.float64))
    (tensor([[[0., 1.]]]), tensor([-1.0000e+09]))
    """
    if x.dtype != torch.float64:
        return x, None
    center, kept = _center(x.numpy()), torch.empty(x.shape)
    for start in range(0, len(x), PART):
        part = slice(start, start + PART)
        kept[part] = x[part] if center is None else x[part] - center.double().view(-1, *(1,) * (x.ndim - 2))
    return kept, None if center is None else -center


def _center(x: np.ndarray) -> Tensor | None:
    """Return what to subtract from float64 samples, `(C,)` float32, before float32 rounds away their differences.

    The entry is 0 for a channel that loses nothing. Return None if no channel does.
    """
    over = (0, *range(2, x.ndim))
    mean, squares, rounded = x.mean(over), np.zeros(x.shape[1]), np.zeros(x.shape[1], bool)
    for start in range(0, len(x), PART):
        part = np.moveaxis(x[start : start + PART], 1, 0).reshape(x.shape[1], -1)
        squares += np.square(part - mean[:, None]).sum(1)
        rounded |= (part.astype(np.float32) != part).any(1)
    deviation = np.sqrt(squares / (x.size / x.shape[1]))
    lost = rounded & (np.abs(mean) > FAR * deviation) & (deviation > _EXACT * np.abs(mean))
    return torch.from_numpy(np.where(lost, mean, 0).astype(np.float32)) if lost.any() else None

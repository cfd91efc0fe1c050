"""The hard concrete distribution (Louizos, Welling, Kingma, ICLR 2018) as diff pruning uses it.

The source is Guo, Rush, Kim, *Parameter-Efficient Transfer Learning with Diff Pruning*, ACL 2021, section 3. It has no
temperature. Its stretch is symmetric: at `log_alpha` 0 a gate is as likely open as closed.
"""

from math import e, log, log2

import torch
from torch import Tensor

LOW, HIGH = -1.5, 1.5
# A gate without noise is 0 if log_alpha <= CLOSED, and 1 if log_alpha >= OPEN.
CLOSED = log(-LOW / HIGH)
OPEN = log((1 - LOW) / (HIGH - 1))
LOG2_E = log2(e)


def gate(log_alpha: Tensor, u: Tensor) -> Tensor:
    """Sample z in [0, 1] from uniform noise `u` in (0, 1). Shapes broadcast.

    >>> gate(torch.tensor(0.0), torch.tensor([0.25, 0.75, 0.9]))
    tensor([0.0000, 0.7500, 1.0000])
    """
    return stretched(log_alpha, u).clamp(0, 1)


def stretched(log_alpha: Tensor, u: Tensor) -> Tensor:
    """Return the sample before it is clamped to [0, 1].

    sigmoid(log u - log(1 - u) + a) is computed as u / (u + (1 - u) e^-a). This takes one exponential and is correct for
    infinite a, too.
    """
    return u / (u + (1 - u) * _exp(-log_alpha)) * (HIGH - LOW) + LOW


def slope(stretched: Tensor) -> Tensor:
    """Return dz / d log_alpha, given the sample before clamping. It is 0 if the sample was clamped."""
    inside = (stretched > 0) & (stretched < 1)
    return torch.where(inside, (stretched - LOW) * (HIGH - stretched) / (HIGH - LOW), 0.0)


def open_probability(log_alpha: Tensor) -> Tensor:
    """Return P(z > 0). Its sum over gates is the expected L0 norm.

    >>> open_probability(torch.tensor(0.0))
    tensor(0.5000)
    """
    return 1 / (1 + _exp(CLOSED - log_alpha))


def evaluation_gate(log_alpha: Tensor) -> Tensor:
    """Return the gate without noise: 0 if `log_alpha` <= `CLOSED`, 1 if `log_alpha` >= `OPEN`.

    >>> evaluation_gate(torch.tensor([CLOSED, OPEN]))
    tensor([0., 1.])
    """
    return (torch.sigmoid(log_alpha) * (HIGH - LOW) + LOW).clamp(0, 1)


def _exp(x: Tensor) -> Tensor:
    # A compiled pass stores a result of `exp` or `sigmoid` as a whole tensor if it is used twice. It fuses `exp2`.
    return torch.exp2(x * LOG2_E)

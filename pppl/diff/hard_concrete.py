"""The hard concrete distribution (Louizos, Welling, Kingma, ICLR 2018) as diff pruning uses it.

Guo, Rush, Kim, *Parameter-Efficient Transfer Learning with Diff Pruning*, ACL 2021, section 3: no temperature, and a
stretch that is symmetric, so that an open gate is as likely as a closed one at `log_alpha` 0.
"""

from math import e, log, log2

import torch
from torch import Tensor

LOW, HIGH = -1.5, 1.5
# At and below the first a gate without noise is 0, at and above the second it is 1.
CLOSED = log(-LOW / HIGH)
OPEN = log((1 - LOW) / (HIGH - 1))
LOG2_E = log2(e)


def gate(log_alpha: Tensor, u: Tensor) -> Tensor:
    """Samples z in [0, 1] from uniform noise `u` in (0, 1); shapes broadcast."""
    return stretched(log_alpha, u).clamp(0, 1)


def stretched(log_alpha: Tensor, u: Tensor) -> Tensor:
    """The sample before it is clamped to [0, 1].

    sigmoid(log u - log(1 - u) + a) as u / (u + (1 - u) e^-a): one exponential, and right for infinite a too.
    """
    return u / (u + (1 - u) * _exp(-log_alpha)) * (HIGH - LOW) + LOW


def slope(stretched: Tensor) -> Tensor:
    """dz / d log_alpha where the sample before clamping is `stretched`: 0 where it was clamped."""
    inside = (stretched > 0) & (stretched < 1)
    return torch.where(inside, (stretched - LOW) * (HIGH - stretched) / (HIGH - LOW), 0.0)


def open_probability(log_alpha: Tensor) -> Tensor:
    """P(z > 0); its sum is the expected L0 norm."""
    return 1 / (1 + _exp(CLOSED - log_alpha))


def evaluation_gate(log_alpha: Tensor) -> Tensor:
    """The gate without noise: 0 where `log_alpha` <= `CLOSED`, 1 where it is >= `OPEN`."""
    return (torch.sigmoid(log_alpha) * (HIGH - LOW) + LOW).clamp(0, 1)


def _exp(x: Tensor) -> Tensor:
    # A compiled pass keeps the results of `exp` and `sigmoid` that it uses twice as whole tensors, those of `exp2` not.
    return torch.exp2(x * LOG2_E)

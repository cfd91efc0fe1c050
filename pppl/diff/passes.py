"""The three passes of a step of relaxed diff pruning. Each goes once over the whole storage.

All passes take blocks, `(n, BLOCK)`, and one value per block for what belongs to its parameter, `(n, 1)`. Noise is a
hash of a value's position. Each pass recomputes it instead of storing it, so a step allocates only two tensors of the
parameters' size: the weights and their gradient.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .hard_concrete import gate, open_probability, slope, stretched

# AdamW's usual decay rates.
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
# Epsilon for gates. Their gradient from the penalty alone starts at 1e-9 or less: the usual value would stop them.
GATE_EPSILON = 1e-15


def uniform(index: Tensor, key: Tensor) -> Tensor:
    """Return a uniform number in (0, 1) of 24 bits for each int32 `index`. It depends on the int32 `key`, `(2,)`.

    This is a hash of two multiplications and three shifts (C. Wellons, *Prospecting for hash functions*, 2018;
    `lowbias32`), applied twice with one key each. It uses integers, so all devices agree, compiled or not.
    """
    return _fraction(_mixed(_mixed(index ^ key[0]) ^ key[1]))


def _fraction(bits: Tensor) -> Tensor:
    """Turn the upper 24 bits into a number in (0, 1).

    The largest number would be rounded to 1, where a closed gate is 0 / 0. It is clamped.
    """
    return ((((bits >> 8) & 0xFFFFFF).float() + 0.5) * 2.0**-24).clamp(max=1 - 2.0**-24)


def _mixed(x: Tensor) -> Tensor:
    x = (x ^ ((x >> 16) & 0xFFFF)) * 0x7FEB352D
    x = (x ^ ((x >> 15) & 0x1FFFF)) * -0x7B935975  # 0x846ca68b
    return x ^ ((x >> 16) & 0xFFFF)


def noise(log_alpha: Tensor, first: int, key: Tensor) -> Tensor:
    """Return uniform noise for blocks `(n, BLOCK)`, numbered from `first`."""
    rows, columns = log_alpha.shape
    start = torch.arange(first, first + rows, dtype=torch.int32, device=log_alpha.device)[:, None]
    index = start * columns + torch.arange(columns, dtype=torch.int32, device=log_alpha.device)
    return uniform(index, key).to(log_alpha.dtype)


def sample(out: Tensor, base: Tensor, w: Tensor, log_alpha: Tensor, group: Tensor, first: int, key: Tensor) -> None:
    """Write base + z_i z_g w into `out`. `group` holds z_g, `(n, 1)`."""
    z = gate(log_alpha, noise(log_alpha, first, key))
    out.copy_(base + z * group * w)


def gradients(
    w: Tensor,
    log_alpha: Tensor,
    gradient: Tensor,
    group: Tensor,
    group_open: Tensor,
    penalty: Tensor,
    first: int,
    key: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of w and log_alpha, and two terms for those of group gates.

    The two terms are gradient * w * z_i and P(z_i > 0). All four results are `(n, BLOCK)`.

    **Arguments:**

    - `gradient`: gradient of the task's loss with respect to the weights, `(n, BLOCK)`.
    - `group`, `group_open`: z_g and P(z_g > 0), `(n, 1)`.
    - `penalty`: lambda, the weight of the expected number of differences, sum over i of P(z_i > 0) P(z_g > 0).
    """
    gradient = gradient.to(w.dtype)
    before = stretched(log_alpha, noise(log_alpha, first, key))
    z, probability = before.clamp(0, 1), open_probability(log_alpha)
    along = gradient * w
    of_alpha = along * group * slope(before) + penalty * group_open * probability * (1 - probability)
    return gradient * group * z, of_alpha, along * z, probability


def norms(*arguments: Any) -> Tensor:
    """Sum over each block: the squares of both gradients and the two terms for group gates, `(n, 4)`.

    **Arguments:**

    - `arguments`: the arguments of `gradients`.
    """
    of_w, of_alpha, along, probability = gradients(*arguments)
    return torch.stack([of_w.square().sum(1), of_alpha.square().sum(1), along.sum(1), probability.sum(1)], 1)


def update(moments: Sequence[Tensor], scales: Tensor, w: Tensor, log_alpha: Tensor, *arguments: Any) -> None:
    """Take a step of Adam on w and log_alpha, in place.

    **Arguments:**

    - `moments`: first and second moment of w, then of log_alpha.
    - `scales`: clipping factor and learning rate of w, then of log_alpha, then both bias corrections; `(6,)`.
    - `arguments`: the remaining arguments of `gradients`.
    """
    of_w, of_alpha, _, _ = gradients(w, log_alpha, *arguments)
    adam(w, of_w * scales[0], moments[0], moments[1], scales[1], scales[4], scales[5])
    adam(log_alpha, of_alpha * scales[2], moments[2], moments[3], scales[3], scales[4], scales[5], GATE_EPSILON)


def adam(
    x: Tensor,
    gradient: Tensor,
    m: Tensor,
    v: Tensor,
    rate: Tensor,
    correct1: Tensor,
    correct2: Tensor,
    epsilon: float = EPSILON,
) -> None:
    """Take a step of Adam (Kingma and Ba, 2015) on `x` and its moments `m` and `v`, in place."""
    m.mul_(BETA1).add_(gradient, alpha=1 - BETA1)
    v.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
    x.sub_(rate * (m / correct1) / ((v / correct2).sqrt() + epsilon))

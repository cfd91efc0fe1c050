"""Losses that are added to that of the task: for the rate of open gates, and for prototypes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def target_rate_loss(gates: Sequence[Tensor], target_rate: float) -> Tensor:
    """Return the sum over layers of (mean of the gates over batch and channels - target)^2.

    **Arguments:**

    - `gates`: per layer `(B, C_l)`, hard in the forward pass.
    - `target_rate`: fraction of channels that should be open (tau).

    >>> target_rate_loss([torch.ones(2, 3)], 0.5)
    tensor(0.2500)
    """
    rates = torch.stack([gate.mean() for gate in gates])  # (L,)
    return (rates - target_rate).square().sum()


def prototype_loss(embedding: Tensor, labels: Tensor, *, scale: float) -> Tensor:
    """Return a loss that pulls the gate vectors of one class together and those of different classes apart.

    Its form is our choice, as in prototypical networks (Snell et al. 2017, equation 2). The first half of the batch is
    the support: the mean embedding of each class there is its prototype, `u_c`. The second half is the query, which is
    classified by `softmax(-scale * ||E(x) - u_c||^2 / D)`. Thus no sample enters its own prototype. Query samples whose
    class has no support are left out. If none is left, the loss is 0.

    **Arguments:**

    - `embedding`: E(x), `(B, D)` in [0, 1]. The batch must be shuffled.
    - `labels`: classes or persons, `(B,)`.
    """
    half = len(embedding) // 2
    if half == 0:
        return embedding.sum() * 0  # a lone sample has no support
    support, query = embedding.split([half, len(embedding) - half])
    present, index = labels[:half].unique(return_inverse=True)
    one_hot = F.one_hot(index, len(present)).to(embedding.dtype)  # (S, P)
    prototypes = (one_hot / one_hot.sum(0)).T @ support  # (P, D)
    # ||E - u||^2 without E's own term, which the softmax over u cancels.
    distances = prototypes.square().sum(1) - 2 * query @ prototypes.T  # (Q, P)
    matches = labels[half:, None] == present  # (Q, P)
    known = matches.any(1)
    log_probabilities = F.log_softmax(-scale / embedding.shape[1] * distances, dim=1)
    return -(log_probabilities * matches).sum() / known.sum().clamp(min=1)

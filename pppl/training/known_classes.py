"""Losses as of persons with few classes, whose outputs are corrected for them as the step `+classes` corrects them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..backbones import NEVER


def corrections(targets: Tensor, classes: int, sizes: Sequence[int]) -> Tensor:
    """Return what is added to the outputs of each sample, `(B, K)`: 0 for its person's classes, `NEVER` for others.

    A person is drawn for each sample: its class, and others at random.

    **Arguments:**

    - `targets`: `(B,)`, the class of each sample.
    - `classes`: number of classes, K.
    - `sizes`: numbers of classes that a person may have, equally likely; 0 for all.

    >>> (corrections(torch.tensor([0, 3]), 5, [2]) == 0).sum(1)
    tensor([2, 2])
    """
    count, device = len(targets), targets.device
    order = torch.rand(count, classes, device=device).scatter_(1, targets[:, None], -1.0).argsort(1).argsort(1)
    most = torch.tensor([size or classes for size in sizes], device=device)
    own = order < most[torch.randint(len(sizes), (count, 1), device=device)]
    return torch.where(own, 0.0, NEVER)

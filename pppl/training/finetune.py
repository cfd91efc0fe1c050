"""Fine-tuning on a support set: what the baselines that retrain do on the device."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from ..data import Support
from .modules import channels_last


def finetune(network: nn.Module, support: Support, *, steps: int, learning_rate: float) -> tuple[nn.Module, int]:
    """A copy of `network` after Adam on the support set's labels, full batches; batch statistics stay as they are.

    **Returns:** the copy in evaluation mode, and the samples seen: steps * size of the support set.
    """
    tuned = copy.deepcopy(network).eval()  # evaluation mode: a few samples make poor batch statistics
    with channels_last(tuned), torch.enable_grad():
        optimizer = torch.optim.Adam(tuned.parameters(), lr=learning_rate, fused=True)
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(tuned(support.x), support.y).backward()
            optimizer.step()
    return tuned, steps * len(support.x)

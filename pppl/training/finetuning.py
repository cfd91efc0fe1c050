"""Fine-tuning on a support set: what the baselines that retrain do on the device."""

import copy
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import nn

from ..backbones import Backbone, classifier_of
from ..data import Support
from ..data.augment import AUGMENTATIONS
from ..tasks import Task
from .modules import channels_last


def finetune(
    network: nn.Module,
    support: Support,
    task: Task,
    *,
    steps: int,
    learning_rate: float,
    layers: Literal["all", "last"] = "all",
    augment: Sequence[str] = (),
) -> tuple[nn.Module, int]:
    """Return a copy of `network` after Adam on the support set's labels, full batches, and how many samples it saw.

    Batch statistics stay as they are. The copy is in evaluation mode.

    **Arguments:**

    - `layers`: whether all are trained, or the classifier alone.
    - `augment`: random changes of each step's samples, by name; the support set's seed decides them.
    """
    tuned = copy.deepcopy(network).eval()  # evaluation mode: a few samples make poor batch statistics
    trained = tuned if layers == "all" else classifier_of(cast(Backbone, tuned))[1]
    chance = torch.Generator().manual_seed(support.seed)
    with channels_last(tuned), torch.enable_grad():
        optimizer = torch.optim.Adam(trained.parameters(), lr=learning_rate, fused=True)
        for _ in range(steps):
            x = support.x
            for name in augment:
                x = AUGMENTATIONS[name](x, chance)
            optimizer.zero_grad()
            task.loss(tuned(x), support.y).backward()
            optimizer.step()
    return tuned, steps * len(support.x)

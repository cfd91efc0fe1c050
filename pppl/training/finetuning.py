"""Fine-tuning on a support set, as baselines that train on the device do."""

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
    """Return a fine-tuned copy of `network`, in evaluation mode, and how many samples its training steps saw.

    The copy is trained by Adam on the support set's labels, with full batches. Batch statistics stay as they are.

    **Arguments:**

    - `layers`: the trained layers, `all` or the `last` alone, the classifier.
    - `augment`: names of random changes of each step's samples, which follow from the support set's seed.
    """
    tuned = copy.deepcopy(network).eval()  # evaluation mode: a few samples make poor batch statistics
    trained = tuned if layers == "all" else classifier_of(cast(Backbone, tuned))[1]
    generator = torch.Generator().manual_seed(support.seed)
    with channels_last(tuned), torch.enable_grad():
        optimizer = torch.optim.Adam(trained.parameters(), lr=learning_rate, fused=True)
        for _ in range(steps):
            x = support.x
            for name in augment:
                x = AUGMENTATIONS[name](x, generator)
            optimizer.zero_grad()
            task.loss(tuned(x), support.y).backward()
            optimizer.step()
    return tuned, steps * len(support.x)

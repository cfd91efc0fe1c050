"""The prototype of a person's samples, by which the network is pruned for this person."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..backbones import Adapted, evaluating
from .gated import GatedNetwork

# A rule turns a prototype into masks, both per group `(C_l,)`.
Rule = Callable[[list[Tensor]], list[Tensor]]


def prototype(network: GatedNetwork, x: Any, *, sequential: Rule | None = None) -> list[Tensor]:
    """Return the mean open probability of each channel over the support set, per group `(C_l,)`.

    **Arguments:**

    - `x`: unlabelled support samples, `(N, C, ...)`, or what else the backbone is called with.
    - `sequential`: rule that turns a prototype into masks. Without it, all gates come from one pass of the gated
      network (`parallel`). With it, the network is pruned group by group, and each gate sees what it will see after
      pruning. The result is then `inf` for channels that the rule kept and `-inf` for those that it removed.

    The network runs in evaluation mode, and its own mode is restored.

    ```python
    masks = threshold_masks(prototype(network, support))
    ```
    """
    # What a network from elsewhere keeps from a pass, such as positions, may be trained with; else inference is faster.
    quiet = torch.no_grad() if isinstance(network.backbone, Adapted) else torch.inference_mode()
    with quiet, evaluating(network):
        if sequential is None:
            return list(torch.cat(network.decide(x), 1).sigmoid().mean(0).split(network.backbone.widths))
        return _layer_by_layer(network, x, sequential)


def _layer_by_layer(network: GatedNetwork, x: Any, sequential: Rule) -> list[Tensor]:
    decided: list[Tensor] = []
    scores: list[Tensor] = []
    count = len(network.gates)
    for index in range(count):
        fixed = [*decided, *[None] * (count - index)]
        later = [logits.sigmoid().mean(0) for logits in network.decide(x, fixed)[index:]]
        mask = sequential([*scores, *later])[index]
        decided.append(mask.to(next(network.parameters()).dtype))
        scores.append(torch.where(mask, torch.inf, -torch.inf))
    return scores

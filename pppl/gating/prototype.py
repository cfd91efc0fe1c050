"""From a person's samples to the prototype that prunes the network for them."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..backbones import evaluating
from .gated import GatedNetwork

# What makes masks of a prototype, both per group `(C_l,)`.
Rule = Callable[[list[Tensor]], list[Tensor]]


@torch.inference_mode()
def prototype(network: GatedNetwork, x: Tensor, *, sequential: Rule | None = None) -> list[Tensor]:
    """Mean open probability of each channel over the support set, per group `(C_l,)`.

    **Arguments:**

    - `x`: unlabelled support samples, `(N, C, ...)`.
    - `sequential`: the rule that makes masks of a prototype. Without it all gates come from one pass of the gated
      network (`parallel`). With it the network is pruned layer by layer, so that each gate sees what it will see after
      pruning; channels that an earlier step removed come back as `-inf`, kept ones as `inf`.

    The network decides in evaluation mode, and is then in the mode that it was in.
    """
    with evaluating(network):
        if sequential is None:
            return list(torch.cat(network.decide(x), 1).sigmoid().mean(0).split(network.backbone.widths))
        return _layer_by_layer(network, x, sequential)


def _layer_by_layer(network: GatedNetwork, x: Tensor, sequential: Rule) -> list[Tensor]:
    decided: list[Tensor] = []
    scores: list[Tensor] = []
    count = len(network.gates)
    for index in range(count):
        fixed = [*decided, *[None] * (count - index)]
        later = [logits.sigmoid().mean(0) for logits in network.decide(x, fixed)[index:]]
        mask = sequential([*scores, *later])[index]
        decided.append(mask.to(x.dtype))
        scores.append(torch.where(mask, torch.inf, -torch.inf))
    return scores

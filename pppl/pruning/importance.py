"""Scores of channel groups by the criteria of Torch-Pruning (DepGraph: Fang et al., CVPR 2023)."""

from collections.abc import Callable
from typing import Any

import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch_pruning.dependency import Dependency, Group, Node

from ..backbones import Backbone, ChannelGroup
from ..system.errors import UserError

Importance = Callable[[Group], Tensor | None]


def importance_scores(backbone: Backbone, importance: Importance) -> list[Tensor]:
    """Score every channel of `backbone`.

    Torch-Pruning traces a network to find the layers that lose a channel together. Here the backbone's groups state
    them, since channels that a `ChannelIndex` selects cannot be traced.

    **Arguments:**

    - `importance`: criterion from `torch_pruning.importance`.

    **Returns:** per group, `(C_l,)`, normalized as the criterion does it.

    Raise `UserError` if a group has nothing that the criterion scores.

    >>> from pppl.backbones import build, spec_for
    >>> network = build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10))
    >>> [scores.shape for scores in importance_scores(network, tp.importance.MagnitudeImportance(p=1))]
    [torch.Size([4]), torch.Size([8])]
    """
    scores = []
    for group in backbone.groups:
        score = importance(_coupled(backbone, group))
        if score is None:
            scored, name = type(importance).__name__, backbone.spec.backbone
            raise UserError(f"{scored} finds nothing to score at {group.producer} of backbone {name}; leave it out")
        scores.append(score)
    return scores


def _coupled(backbone: Backbone, group: ChannelGroup) -> Group:
    """Return the layers of `group` as a group of Torch-Pruning: producer, batch normalization, consumers.

    A depthwise convolution in between is left out, since it has no weights across channels.
    """
    producer = backbone.get_submodule(group.producer)
    followers = [backbone.get_submodule(path) for path in group.followers]
    consumers = [backbone.get_submodule(path) for path in group.consumers]
    first = tp.prune_linear_out_channels if isinstance(producer, nn.Linear) else tp.prune_conv_out_channels
    coupled: list[tuple[nn.Module, Callable[..., Any]]] = [(producer, first)]
    coupled += [(each, tp.prune_batchnorm_out_channels) for each in followers if isinstance(each, _BatchNorm)]
    for each in consumers:
        coupled.append(
            (each, tp.prune_linear_in_channels if isinstance(each, nn.Linear) else tp.prune_conv_in_channels)
        )
    channels = list(range(backbone.widths[backbone.groups.index(group)]))
    root, made = Node(producer, None), Group()
    for module, function in coupled:
        made.add_dep(Dependency(first, function, root, Node(module, None)), channels)
        made[-1].root_idxs = channels
    return made

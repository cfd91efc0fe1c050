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
    for group, width in zip(backbone.groups, backbone.widths, strict=True):
        score = importance(_coupled(backbone, group, width))
        if score is None:
            scored, name = type(importance).__name__, backbone.spec.backbone
            raise UserError(f"{scored} finds nothing to score at {group.producer} of backbone {name}; leave it out")
        scores.append(score.view(width, -1).mean(1))
    return scores


def _coupled(backbone: Backbone, group: ChannelGroup, width: int) -> Group:
    """Return the layers of `group` as a group of Torch-Pruning: producers, batch normalization, consumers.

    Its root is the producer, with all entries of channel 0, then those of channel 1, and so on. A convolution with
    groups in between is left out, since it has no weights across channels.
    """
    paths: list[tuple[str, Callable[..., Any]]] = []
    for path in (group.producer, *group.partners):
        linear = isinstance(backbone.get_submodule(path), nn.Linear)
        paths.append((path, tp.prune_linear_out_channels if linear else tp.prune_conv_out_channels))
    norms = [path for path in group.followers if isinstance(backbone.get_submodule(path), _BatchNorm)]
    paths += [(path, tp.prune_batchnorm_out_channels) for path in norms]
    for path in group.consumers:
        linear = isinstance(backbone.get_submodule(path), nn.Linear)
        paths.append((path, tp.prune_linear_in_channels if linear else tp.prune_conv_in_channels))
    root, made, count = Node(backbone.get_submodule(group.producer), None), Group(), group.span(group.producer).count
    for path, function in paths:
        span = group.span(path)
        made.add_dep(
            Dependency(paths[0][1], function, root, Node(backbone.get_submodule(path), None)),
            [entry for channel in range(width) for entry in span.entries(channel)],
        )
        shares = [each * count // span.count for each in range(span.count)]
        made[-1].root_idxs = [channel * count + share for channel in range(width) for share in shares]
    return made

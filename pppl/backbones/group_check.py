"""The check that masking a group of channels equals removing it, for networks whose groups somebody else has stated."""

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..system.errors import UserError
from .backbone import Backbone
from .cuts import CannotCut
from .found_groups import tensors_of
from .groups import hook_groups
from .surgery import slice_network

Network = TypeVar("Network", bound=nn.Module)
# The largest difference, as a fraction of the largest output, that rounding explains.
_ROUNDING = 1e-3


def check_groups(backbone: Backbone, input_shape: tuple[int, ...]) -> None:
    """Raise `UserError`, naming the group, unless masking its output equals removing its channels.

    A copy of the network is tried with random biases, since those of a new network are zero, which hides a wrong
    `output`.

    >>> from pppl.backbones import build, spec_for
    >>> check_groups(build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10)), (1, 8, 8))
    """
    x = torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(0))
    for index, reason in unequal_groups(trial_copy(backbone), x).items():
        group = backbone.groups[index]
        raise UserError(
            f"backbone {backbone.spec.backbone}: group {index} (producer {group.producer!r}, output {group.output!r}): "
            f"{reason}: name as output the module behind batch normalization and activation, and all consumers"
        )


def unequal_groups(network: Backbone, example: Any) -> dict[int, str]:
    """Return, by index, the groups whose masking does not equal their removal, and why.

    **Arguments:**

    - `network`: a copy that `trial_copy` made.
    - `example`: the argument of the network's forward pass.
    """
    halves = [torch.arange(width) % 2 == 0 for width in network.widths]
    if not _difference(network, halves, example):
        return {}
    reasons: dict[int, str] = {}
    for index in range(len(halves)):
        masks = [half if at == index else torch.ones_like(half) for at, half in enumerate(halves)]
        if reason := _difference(network, masks, example):
            reasons[index] = reason
    rest = [torch.ones_like(half) if index in reasons else half for index, half in enumerate(halves)]
    if reason := _difference(network, rest, example):
        reasons |= {index: f"together with others, {reason}" for index in range(len(halves)) if index not in reasons}
    return reasons


def trial_copy(network: Network) -> Network:
    """Return a copy to try groups on: on the CPU, in evaluation mode, with random positive biases and scales.

    Those of a new network are zeros and ones, which hide that a mask acts at the wrong place.
    """
    generator = torch.Generator().manual_seed(0)
    trial = copy.deepcopy(network).cpu().eval()
    for module in trial.modules():
        for vector in module.parameters(recurse=False):
            if vector.ndim == 1:
                nn.init.uniform_(vector, 0.5, 1.5, generator=generator)
    return trial.requires_grad_(True)


@torch.no_grad()
def _difference(network: Backbone, masks: list[Tensor], example: Any) -> str:
    """Return how the outputs of the masked network and of the sliced one differ; nothing if they are equal."""

    def mask(index: int, values: Tensor) -> Tensor:  # (B, C, ...)
        return values * masks[index].view(1, -1, *(1,) * (values.ndim - 2))

    with hook_groups(network, after=mask):
        masked = tensors_of(network(example))
    try:
        sliced = tensors_of(slice_network(network, masks)(example))
    except CannotCut as error:
        return error.reason
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        line = str(error).strip().partition("\n")[0]
        return f"the network does not run with fewer of these channels ({line})"
    if [each.shape for each in masked] != [each.shape for each in sliced]:
        return "the network's outputs get another shape with fewer of these channels"
    unequal = any(
        (one - other).abs().max() > _ROUNDING * one.abs().max() for one, other in zip(masked, sliced, strict=True)
    )
    return "masking them does not equal removing them" if unequal else ""

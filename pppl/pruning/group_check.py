"""The check that masking a group of channels equals removing it, for networks whose groups somebody else has stated."""

import copy

import torch
from torch import Tensor, nn

from ..backbones import Backbone, hook_groups
from ..system.errors import UserError
from .surgery import slice_network

# The largest difference, as a fraction of the largest output, that rounding explains.
_ROUNDING = 1e-3


def check_groups(backbone: Backbone, input_shape: tuple[int, ...]) -> None:
    """Raise `UserError`, naming the group, unless masking its output equals removing its channels.

    A copy of the network is tried with random biases, since those of a new network are zero, which hides a wrong
    `output`.

    >>> from pppl.backbones import build, spec_for
    >>> check_groups(build(spec_for("convnet", {"widths": (4, 8)}, (1, 8, 8), 10)), (1, 8, 8))
    """
    generator = torch.Generator().manual_seed(0)
    network = _with_biases(backbone, generator)
    x = torch.randn(2, *input_shape, generator=generator)
    halves = [torch.arange(width) % 2 == 0 for width in network.widths]
    if _is_equal(network, halves, x):
        return
    for index, group in enumerate(network.groups):
        masks = [half if at == index else torch.ones_like(half) for at, half in enumerate(halves)]
        if not _is_equal(network, masks, x):
            raise UserError(
                f"backbone {backbone.spec.backbone}: masking the output {group.output!r} of group {index} (producer "
                f"{group.producer!r}) does not equal removing its channels: name as output the module behind batch "
                f"normalization and activation, and all consumers"
            )
    raise UserError(
        f"backbone {backbone.spec.backbone}: masking the outputs of all groups does not equal removing their channels: "
        f"check which groups have consumers in common"
    )


def _with_biases(backbone: Backbone, generator: torch.Generator) -> Backbone:
    """Return a copy in evaluation mode with random positive biases, which activations let through."""
    network = copy.deepcopy(backbone).cpu().eval()
    for module in network.modules():
        bias = getattr(module, "bias", None)
        if isinstance(bias, Tensor):
            nn.init.uniform_(bias, 0.5, 1.5, generator=generator)
    return network


@torch.no_grad()
def _is_equal(network: Backbone, masks: list[Tensor], x: Tensor) -> bool:
    """Return whether the masked network and the sliced one have the same outputs."""

    def mask(index: int, values: Tensor) -> Tensor:  # (B, C, ...)
        return values * masks[index].view(1, -1, *(1,) * (values.ndim - 2))

    with hook_groups(network, after=mask):
        masked = network(x)
    return bool((masked - slice_network(network, masks)(x)).abs().max() <= _ROUNDING * masked.abs().max())

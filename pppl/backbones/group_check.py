"""The check that masking a group of channels equals removing it, for networks whose groups somebody else has stated."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..system.errors import UserError, first_line
from .backbone import Backbone
from .cuts import CannotCut
from .examples import FAILURES, tensors_of, twice
from .groups import hook_groups
from .surgery import slice_network

Network = TypeVar("Network", bound=nn.Module)
# The largest difference that rounding explains: as a fraction of what the masks change, and of the largest output.
_ROUNDING, _OF_OUTPUT = 1e-3, 3e-6
# Less than this fraction of the largest output is no change that shows channels.
_SHOWN = 1e-5


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

    Without the groups that are returned, masking equals removal for all others together.
    """
    with torch.no_grad():
        whole = tensors_of(network(example))
    reasons: dict[int, str] = {}
    for number, masks in enumerate(_trials(network.widths)):
        trains = number == 0  # which channels stay makes no difference there
        tried = [torch.ones_like(mask) if index in reasons else mask for index, mask in enumerate(masks)]
        if not _difference(network, tried, example, whole, trains=trains):
            continue
        accepted = [torch.ones_like(mask) for mask in masks]
        for index in (index for index in range(len(masks)) if index not in reasons):
            more = [masks[index] if at == index else mask for at, mask in enumerate(accepted)]
            reason = _difference(network, more, example, whole, trains=trains)
            if reason:
                reasons[index] = reason
            else:
                accepted = more
    return reasons


def _trials(widths: Sequence[int]) -> Iterator[list[Tensor]]:
    """Yield masks to try: half of the channels, at random so that no order of them is favoured, and one of each."""
    generator = torch.Generator().manual_seed(0)
    for keep in (lambda width: (width + 1) // 2, lambda _: 1):
        yield [torch.randperm(width, generator=generator) < keep(width) for width in widths]


def trial_copy(network: Network) -> Network:
    """Return a copy to try groups on: on the CPU, in evaluation mode, with random positive biases and scales.

    Those of a new network are zeros and ones, which hide that a mask acts at the wrong place, or so small that they
    hide the layers before them; they may have further dimensions of size 1. Weights that are all zero are random, too.
    """
    generator = torch.Generator().manual_seed(0)
    trial = copy.deepcopy(network).cpu().eval()
    for module in trial.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.numel() == max(parameter.shape, default=1):
                nn.init.uniform_(parameter, 0.5, 1.5, generator=generator)
            elif not parameter.any():
                nn.init.uniform_(parameter, -0.1, 0.1, generator=generator)
    return trial.requires_grad_(True)


@torch.no_grad()
def _difference(network: Backbone, masks: list[Tensor], example: Any, whole: list[Tensor], *, trains: bool) -> str:
    """Return how the outputs of the masked network and of the sliced one differ; nothing if they are equal.

    **Arguments:**

    - `whole`: the outputs without masks.
    - `trains`: whether the sliced network has to run in training mode, too, if this one does.
    """

    def mask(index: int, values: Tensor) -> Tensor:  # (B, C, ...)
        return values * masks[index].view(1, -1, *(1,) * (values.ndim - 2))

    try:
        with hook_groups(network, after=mask):
            masked = tensors_of(network(example))
        smaller = slice_network(network, masks)
        sliced = tensors_of(smaller(example))
        failure = _failure_in_training(smaller, example) if trains else None
        if failure and not _failure_in_training(copy.deepcopy(network), example):
            raise failure
    except CannotCut as error:
        return error.reason
    except FAILURES as error:
        return f"the network does not run with fewer of these channels ({first_line(error)})"
    if [each.shape for each in masked] != [each.shape for each in sliced]:
        return "the network's outputs get another shape with fewer of these channels"
    if not all(map(_equal, masked, sliced, whole)):
        return "masking them does not equal removing them"
    shown = all(bool(mask.all()) for mask in masks) or any(map(_shows, masked, whole))
    return "" if shown else "the outputs for the example do not change without them, so that nothing can be checked"


def _failure_in_training(network: Backbone, example: Any) -> Exception | None:
    """Return the error of a pass in training mode, with each sample given twice. The network's statistics change."""
    try:
        with torch.random.fork_rng(devices=[]):
            network.train()(twice(example))
    except FAILURES as error:
        return error
    return None


def _equal(masked: Tensor, sliced: Tensor, whole: Tensor) -> bool:
    """Return whether two outputs differ by rounding alone; never if one of them is not finite."""
    if not whole.numel() or not (whole.is_floating_point() or whole.is_complex()):
        return masked.equal(sliced)
    most = _ROUNDING * (masked - whole).abs().max() + _OF_OUTPUT * whole.abs().max()
    return bool((masked - sliced).abs().max() <= most)


def _shows(masked: Tensor, whole: Tensor) -> bool:
    """Return whether an output is another one with masks."""
    if not whole.numel() or not (whole.is_floating_point() or whole.is_complex()):
        return not masked.equal(whole)
    return bool((masked - whole).abs().max() > _SHOWN * whole.abs().max())

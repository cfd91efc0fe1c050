"""Masked networks, which sliced ones are held against."""

from typing import Any

import torch
from torch import Tensor, nn

from pppl.backbones import Adapted, hook_groups, tensors_of


def with_values(network: nn.Module) -> None:
    """Give scales and biases values: zeros and ones of new networks hide what a wrong place of a mask does."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        for vector in module.parameters(recurse=False):
            if vector.ndim == 1:
                nn.init.uniform_(vector, 0.5, 1.5, generator=generator)


def masks_of(widths: tuple[int, ...], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    masks = [torch.rand(width, generator=generator) < 0.6 for width in widths]
    for mask in masks:
        mask[torch.randint(len(mask), (), generator=generator)] = True
    return masks


@torch.no_grad()
def masked(network: Adapted, masks: list[Tensor], x: Any) -> list[Tensor]:
    def mask(index: int, values: Tensor) -> Tensor:
        return values * masks[index].view(1, -1, *(1,) * (values.ndim - 2))

    with hook_groups(network, after=mask):
        return tensors_of(network(x))


def assert_close(one: list[Tensor], other: list[Tensor]) -> None:
    for first, second in zip(one, other, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4 * float(first.abs().max()))

"""Basis pruning (Wong, Kashyap, Moradi; Pattern Recognition Letters 2024; arXiv 2108.02893).

The singular value decomposition of a convolution's weights, `(C_out, K)` with the `K` values of a filter, splits it in
two: orthonormal basis filters, `(R, K)`, and a 1x1 convolution, `(C_out, R)`, that scales their outputs by the singular
values and rotates them back. Pruning removes basis filters. The output channels, which other layers read, all stay.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from ..backbones import Backbone, BasisConv, can_have_basis, put_bases
from .cost import Cost, CostModel


@dataclass(frozen=True, kw_only=True)
class Basis:
    """The decomposition `left * scale @ right` of the convolution at `path`.

    - `left`: `(C_out, R)`.
    - `scale`: `(R,)`, the singular values in descending order.
    - `right`: `(R, K)`, the basis filters.
    """

    path: str
    left: Tensor
    scale: Tensor
    right: Tensor


def convolutions(network: nn.Module) -> dict[str, nn.Conv1d | nn.Conv2d]:
    """Return the convolutions that can have a basis, by path.

    >>> list(convolutions(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8))))
    ['0']
    """
    return {path: layer for path, layer in network.named_modules() if can_have_basis(layer)}


@torch.no_grad()
def decompose(network: nn.Module) -> list[Basis]:
    """Return a basis of every convolution that can have one.

    >>> [basis.right.shape for basis in decompose(nn.Sequential(nn.Conv2d(3, 8, 3)))]
    [torch.Size([8, 27])]
    """
    bases = []
    for path, conv in convolutions(network).items():
        left, scale, right = torch.linalg.svd(conv.weight.flatten(1), full_matrices=False)
        bases.append(Basis(path=path, left=left, scale=scale, right=right))
    return bases


class BasisCost:
    """The cost of a network as a function of the number of basis filters that each of its convolutions keeps.

    A convolution is not split if its two parts would cost as much or more.

    **Arguments:**

    - `network`: network whose convolutions are split.
    - `cost`: cost model of `network`.
    """

    def __init__(self, network: Backbone, cost: CostModel):
        layers = convolutions(network)
        each = np.array([[conv.weight[0].numel(), conv.out_channels] for conv in layers.values()])  # (L, 2)
        self._positions = np.array([cost.positions[path] for path in layers])
        self._whole, self._per_filter = each.prod(1), each.sum(1)
        self._full = cost.full

    def __call__(self, ranks: Sequence[int] | np.ndarray) -> Cost:
        """Return the cost with `ranks` basis filters kept per convolution."""
        spared = self._spared(np.asarray(ranks))
        macs, params = int((spared * self._positions).sum()), int(spared.sum())
        return Cost(macs=self._full.macs - macs, params=self._full.params - params)

    def fraction(self, widths: np.ndarray, unit: str = "macs") -> np.ndarray:
        """Return the cost in `macs` or `params` relative to the full network's, for each row of ranks, `(..., L)`."""
        spared = self._spared(widths) * (self._positions if unit == "macs" else 1)
        full = getattr(self._full, unit)
        return (full - spared.sum(-1)) / full  # a quotient of integers, so a budget is met exactly

    def _spared(self, ranks: np.ndarray) -> np.ndarray:
        """Return how many weights each convolution saves, `(..., L)`."""
        return np.maximum(self._whole - ranks * self._per_filter, 0)


@torch.no_grad()
def basis_network(network: Backbone, bases: Sequence[Basis], masks: Sequence[Tensor]) -> Backbone:
    """Return a new network with the kept basis filters.

    **Arguments:**

    - `bases`: result of `decompose`.
    - `masks`: per basis, `(R,)`, boolean, at least one True. A convolution is not split if its two parts would have as
      many weights or more.

    ```python
    bases = decompose(network)
    smaller = basis_network(network, bases, [basis.scale > 0.1 * basis.scale[0] for basis in bases])
    ```
    """
    pruned = copy.deepcopy(network)
    layers = convolutions(pruned)
    kept = {basis.path: mask.nonzero().flatten() for basis, mask in zip(bases, masks, strict=True)}
    ranks = {}
    for path, conv in layers.items():
        filters = len(kept[path])
        if filters * (conv.weight[0].numel() + conv.out_channels) < conv.weight.numel():
            ranks[path] = filters
    put_bases(pruned, ranks)
    for basis in bases:
        if basis.path in ranks:
            keep, conv = kept[basis.path], layers[basis.path]
            layer = cast(BasisConv, pruned.get_submodule(basis.path))
            layer.basis.weight.copy_(basis.right[keep].view_as(layer.basis.weight))
            layer.mix.weight.copy_((basis.left * basis.scale)[:, keep].view_as(layer.mix.weight))
            layer.mix.bias = conv.bias
    return pruned

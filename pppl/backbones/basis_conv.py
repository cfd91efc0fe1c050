"""A convolution in two: a few basis filters, and a 1x1 convolution that makes the output channels of theirs."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from torch import Tensor, nn

from .backbone import RANKS, Backbone, ShapeSpec

Conv = nn.Conv1d | nn.Conv2d
_GEOMETRY = ("kernel_size", "stride", "padding", "dilation", "padding_mode")


class BasisConv(nn.Module):
    """Takes the place of convolution `like`, `(B, C_in, ...)` to `(B, C_out, ...)`, with `rank` filters inside."""

    def __init__(self, like: Conv, rank: int):
        super().__init__()
        kind: Any = type(like)  # of one and of two dimensions
        geometry = {name: getattr(like, name) for name in _GEOMETRY}
        self.basis: Conv = kind(like.in_channels, rank, **geometry, bias=False)
        self.mix: Conv = kind(rank, like.out_channels, 1, bias=like.bias is not None)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.basis(x))


def put_bases(backbone: Backbone, ranks: Mapping[str, int]) -> Backbone:
    """Puts a `BasisConv` of the given rank in place of each convolution that `ranks` names; `backbone` itself, changed.

    Raises `ValueError` where there is no such convolution, or its rank is impossible.
    """
    if not ranks:
        return backbone
    for path, rank in ranks.items():
        try:
            layer = backbone.get_submodule(path)
        except AttributeError:
            layer = None
        if not can_have_basis(layer):
            raise ValueError(f"ranks names {path}, which is no convolution that can have a basis")
        if not 1 <= rank <= full_rank(layer):
            raise ValueError(f"ranks[{path}] is {rank}, that convolution has a rank of 1 to {full_rank(layer)}")
        in_two = BasisConv(layer, rank).to(layer.weight)
        for each in [p for p, m in backbone.named_modules(remove_duplicate=False) if m is layer]:  # shared: everywhere
            backbone.set_submodule(each, in_two)
    options = {**backbone.spec.options, RANKS: dict(ranks)}
    backbone.spec = ShapeSpec(backbone=backbone.spec.backbone, options=options)
    return backbone


def can_have_basis(layer: nn.Module | None) -> TypeGuard[Conv]:
    """Whether it is a convolution over all its input channels, which a depthwise one is not."""
    return isinstance(layer, Conv) and layer.groups == 1


def full_rank(conv: Conv) -> int:
    """The most basis filters of a convolution: its output channels, or the values of a filter where these are fewer."""
    return min(conv.out_channels, conv.weight[0].numel())

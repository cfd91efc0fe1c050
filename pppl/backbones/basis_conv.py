"""A convolution split in two: a few basis filters, then a 1x1 convolution that combines their outputs."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from torch import Tensor, nn

from .backbone import RANKS, Backbone, ShapeSpec

Conv = nn.Conv1d | nn.Conv2d
_GEOMETRY = ("kernel_size", "stride", "padding", "dilation", "padding_mode")


class BasisConv(nn.Module):
    """A replacement for the convolution `like`, with `rank` basis filters inside.

    >>> BasisConv(nn.Conv2d(3, 64, 3), rank=8).basis.out_channels
    8
    """

    def __init__(self, like: Conv, rank: int):
        super().__init__()
        kind: Any = type(like)  # 1-D or 2-D
        geometry = {name: getattr(like, name) for name in _GEOMETRY}
        self.basis: Conv = kind(like.in_channels, rank, **geometry, bias=False)
        self.mix: Conv = kind(rank, like.out_channels, 1, bias=like.bias is not None)
        vars(self).update(geometry)  # a network's forward may read them, as where it pads by TensorFlow's rule

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the convolution, `(B, C_out, ...)`, for `x`, `(B, C_in, ...)`."""
        return self.mix(self.basis(x))


def put_bases(backbone: Backbone, ranks: Mapping[str, int]) -> Backbone:
    """Replace each convolution that `ranks` names, by its path, with a `BasisConv` of the given rank.

    This changes `backbone` in place and returns it. Raise `ValueError` if a path names no convolution that can have a
    basis, or if its rank is impossible.

    ```python
    put_bases(backbone, {"layers.1.conv": 8})
    ```
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
            raise ValueError(f"ranks[{path}] is {rank}, but that convolution has a rank of 1 to {full_rank(layer)}")
        in_two = BasisConv(layer, rank).to(layer.weight)
        # A shared layer is replaced at all of its places.
        for each in [p for p, m in backbone.named_modules(remove_duplicate=False) if m is layer]:
            backbone.set_submodule(each, in_two)
    options = {**backbone.spec.options, RANKS: dict(ranks)}
    backbone.spec = ShapeSpec(backbone=backbone.spec.backbone, options=options)
    return backbone


def can_have_basis(layer: nn.Module | None) -> TypeGuard[Conv]:
    """Return whether `layer` is a convolution over all of its input channels. A depthwise convolution is not."""
    return isinstance(layer, Conv) and layer.groups == 1


def full_rank(conv: Conv) -> int:
    """Return the largest rank of a convolution: its output channels, or the values of one filter if they are fewer.

    >>> full_rank(nn.Conv2d(3, 64, 3))  # a filter has 3 x 3 x 3 values
    27
    """
    return min(conv.out_channels, conv.weight[0].numel())

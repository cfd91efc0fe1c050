"""Residual networks for keyword spotting.

Tang and Lin 2018, "Deep residual learning for small-footprint keyword spotting". The structure follows their code,
castorini/honk.
"""

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import Backbone, chosen_widths
from .groups import ChannelGroup
from .index import ChannelIndex
from .registry import register_backbone

# By name: number of convolutions after the first, and whether they are dilated (section 3.2).
_FORMS = {"res8": (6, False), "res15": (13, True), "res26": (24, False)}


class TangLinNet(Backbone):
    """res8, res15 and res26 for spectrograms: 3x3 convolutions, ReLU, then batch normalization without scale or shift.

    Each pair of convolutions is a residual block, and the channels of its first convolution are a group. The channels
    of the last convolution of res15, which has no partner, are a group, too. The residual stream is no group.

    For 101 x 40 and 12 classes the paper states 110 K parameters and 30 M multiplications (res8), 238 K and 894 M
    (res15), 438 K and 380 M (res26). For the narrow forms it states 19.9 K and 5.65 M, 42.6 K and 160 M, 78.4 K and
    68.5 M. It counts positions as if the first convolution had no padding. With padding, the wide forms take 37 M,
    959 M and 439 M. With one channel left in every group, res15 takes 2.4 % of its MACs, and 1.4 % with `index_add`;
    res15_narrow takes 5.7 % and 3.4 %.

    **Arguments:**

    - `name`: `res8`, `res15` or `res26`, each with or without `_narrow` after it.
    - `in_channels`, `num_outputs`: channels and classes of the data.
    - `width`: channels of every layer; 45, and 19 in the narrow forms.
    - `pool`: size `(T, F)` of the average pooling after the first convolution; None for no pooling.
    - `index_add`: whether the last convolution of each block is a group, too; its channels are added back at their
      index.
    - `widths`: channels of each group; None for all.
    """

    def __init__(
        self,
        name: str,
        *,
        in_channels: int = 1,
        num_outputs: int = 12,
        width: int = 45,
        pool: Sequence[int] | None = None,
        index_add: bool = False,
        widths: Sequence[int] | None = None,
    ):
        super().__init__()
        if width < 1 or (pool is not None and (len(pool) != 2 or min(pool) < 1)):
            raise ValueError("width must be 1 or more, and pool two numbers of 1 or more")
        layers, dilated = _FORMS[name.removesuffix("_narrow")]
        dilations = [2 ** (i // 3) if dilated else 1 for i in range(layers)]
        count = layers // 2 * (2 if index_add else 1) + layers % 2
        chosen = chosen_widths(widths, [width] * count)
        left = iter(chosen)
        self.conv = _conv(in_channels, width)
        self.pool = nn.Identity() if pool is None else nn.AvgPool2d((pool[0], pool[1]))
        self.blocks = nn.ModuleList()
        groups: list[ChannelGroup] = []
        for first, second in zip(dilations[0::2], dilations[1::2], strict=False):
            inner, kept = next(left), next(left) if index_add else None
            block = _TangLinBlock(width, inner=inner, kept=kept, dilations=(first, second))
            groups += block.groups(f"blocks.{len(self.blocks)}")
            self.blocks.append(block)
        self.last, features = None, width
        if layers % 2:
            features = next(left)
            self.last = _TangLinTail(width, features, dilations[-1])
            groups.append(
                ChannelGroup(producer="last.conv", output="last.norm", followers=("last.norm",), consumers=("output",))
            )
        self.output = nn.Linear(features, num_outputs)
        self.groups = tuple(groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, `(B, num_outputs)`, for spectrograms `(B, C, T, F)`."""
        x = stream = self.pool(F.relu(self.conv(x)))
        for block in self.blocks:
            stream, x = block(stream, x)
        if self.last is not None:
            x = self.last(x)
        return self.output(x.mean((2, 3)))


class _TangLinBlock(nn.Module):
    """Two convolutions whose output is added to the stream. Later layers read the stream normalized."""

    def __init__(self, width: int, *, inner: int, kept: int | None, dilations: tuple[int, int]):
        super().__init__()
        self.conv1 = _conv(width, inner, dilations[0])
        self.norm1 = nn.BatchNorm2d(inner, affine=False)
        self.conv2 = _conv(inner, kept or width, dilations[1])
        self.act2 = nn.ReLU()
        self.index = ChannelIndex(width, kept) if kept else None
        self.norm2 = nn.BatchNorm2d(width, affine=False)

    def forward(self, stream: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        branch = self.act2(self.conv2(self.norm1(F.relu(self.conv1(x)))))
        stream = stream + branch if self.index is None else self.index.add(stream, branch)
        return stream, self.norm2(stream)

    def groups(self, path: str) -> list[ChannelGroup]:
        # The normalization comes after the ReLU and would shift a masked channel, so the mask comes after both.
        first = ChannelGroup(
            producer=f"{path}.conv1", output=f"{path}.norm1", followers=(f"{path}.norm1",), consumers=(f"{path}.conv2",)
        )
        second = ChannelGroup(
            producer=f"{path}.conv2", output=f"{path}.act2", followers=(f"{path}.index",), consumers=()
        )
        return [first] if self.index is None else [first, second]


class _TangLinTail(nn.Module):
    """The last convolution of res15, which has no partner, with its normalization."""

    def __init__(self, width: int, features: int, dilation: int):
        super().__init__()
        self.conv = _conv(width, features, dilation)
        self.norm = nn.BatchNorm2d(features, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.relu(self.conv(x)))


def _conv(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation, bias=False)


for _name, _options in {
    "res8": {"pool": (4, 3)},
    "res15": {},
    "res26": {"pool": (2, 2)},
    "res8_narrow": {"width": 19, "pool": (4, 3)},
    "res15_narrow": {"width": 19},
    "res26_narrow": {"width": 19, "pool": (2, 2)},
}.items():
    register_backbone(_name)(partial(TangLinNet, _name, **_options))

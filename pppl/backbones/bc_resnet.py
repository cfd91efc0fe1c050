"""BC-ResNet for keyword spotting.

Kim et al. 2021, "Broadcasted residual learning for efficient keyword spotting". The structure follows their code,
Qualcomm-AI-research/bcresnet.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import Backbone, chosen_widths
from .groups import ChannelGroup
from .index import ChannelIndex
from .registry import register_backbone

# Stages (table 1): number of blocks, channels as a multiple of the base, stride over mel bands in the first block.
_STAGES = ((2, 1.0, 1), (2, 1.5, 2), (4, 2.0, 2), (4, 2.5, 1))
_BASE, _FIRST, _LAST = 8, 2, 4


@register_backbone("bc_resnet")
class BCResNet(Backbone):
    """BC-ResNet for spectrograms, with 2-D convolutions over mel bands and 1-D convolutions over time.

    The 1-D convolutions read the mean of the 2-D ones over the bands. Their output is broadcast back to all bands.

    Groups are the channels of the first convolution, the inner channels of each block's 1-D part, and the channels of
    each of the last two layers. The stream to which blocks add is no group. A `ChannelIndex` selects from it the
    channels that a pruned part reads.

    For 101 x 40 and 12 classes the paper (table 3) states 9.2 K parameters and 3.1 M multiplications at scale 1, 17.2 K
    and 5.5 M (1.5), 27.3 K and 8.5 M (2), 54.2 K and 16.2 M (3), 188 K and 53.1 M (6), 321 K and 89.1 M (8). Its
    multiplications are the MACs at 98 x 40, plus about 0.7 M per unit of scale for normalization and the like. With one
    channel left in every group, scale 1 takes 5.1 % of its MACs with `index_add` and 42 % without. Therefore
    `index_add` is on by default.

    **Arguments:**

    - `in_channels`, `num_outputs`: channels and classes of the data.
    - `bands`: mel bands of the data, at least 33. A half, a quarter and an eighth of them (rounded up) must be
      multiples of `sub_bands`.
    - `scale`: factor on the channels of every layer (tau).
    - `sub_bands`: number of groups of mel bands that are normalized separately.
    - `dropout`: dropout rate of the channels of each 1-D part.
    - `index_add`: whether the outputs of both parts are groups, too; their channels are added back at their index. In
      the first block of a stage, the group of the 2-D part includes the 1x1 convolution.
    - `widths`: channels of each group; None for all.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        num_outputs: int = 12,
        bands: int = 40,
        scale: float = 1.0,
        sub_bands: int = 5,
        dropout: float = 0.1,
        index_add: bool = True,
        widths: Sequence[int] | None = None,
    ):
        super().__init__()
        base = int(_BASE * scale)
        if base < 1:
            raise ValueError("scale leaves a layer without channels: use a larger scale")
        _check_bands(bands, sub_bands)
        outputs = [int(base * times) for blocks, times, _ in _STAGES for _ in range(blocks)]
        per_block = 3 if index_add else 1
        full = [_FIRST * base, *(c for c in outputs for _ in range(per_block)), outputs[-1], _LAST * base]
        chosen = chosen_widths(widths, full)
        left = iter(chosen)
        first = next(left)
        self.conv = nn.Conv2d(in_channels, first, 5, (2, 1), padding=2, bias=False)
        self.norm = nn.BatchNorm2d(first)
        self.act = nn.ReLU()
        self.blocks = nn.ModuleList()
        groups: list[ChannelGroup] = []
        before = first
        for stage, (blocks, times, stride) in enumerate(_STAGES):
            for index in range(blocks):
                out = int(base * times)
                kept = [next(left) for _ in range(per_block)]
                block = _BCBlock(
                    before,
                    out,
                    kept=(kept[0], kept[1], kept[2]) if index_add else (None, kept[0], None),
                    transition=index == 0,
                    stride=stride if index == 0 else 1,
                    dilation=2**stage,
                    sub_bands=sub_bands,
                    dropout=dropout,
                )
                groups += block.groups(f"blocks.{len(self.blocks)}")
                self.blocks.append(block)
                before = out
        self.last = _BCHead(before, depthwise=next(left), features=(features := next(left)))
        self.head = nn.Linear(features, num_outputs)
        self.groups = (
            ChannelGroup(producer="conv", output="act", followers=("norm",), consumers=("blocks.0.front.0",)),
            *groups,
            *self.last.groups("last"),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, `(B, num_outputs)`, for spectrograms `(B, C, T, F)`."""
        x = x.transpose(2, 3)  # (B, C, T, F) -> (B, C, F, T)
        x = self.act(self.norm(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(self.last(x).mean((2, 3)))


def _check_bands(bands: int, sub_bands: int) -> None:
    if sub_bands < 1 or any(-(-bands // part) % sub_bands for part in (2, 4, 8)):
        raise ValueError(
            f"a half, a quarter and an eighth of the bands ({bands}) are not multiples of sub_bands ({sub_bands})"
        )
    if bands <= 32:
        raise ValueError(f"bands must be 33 or more, not {bands}: the last convolution spans 5 of an eighth of them")


class _BCBlock(nn.Module):
    """A block that outputs the ReLU of a sum: a 2-D part, a 1-D part and, except in a transition, the input.

    The 1-D part reads the mean of the 2-D part over mel bands. A transition is the first block of a stage.

    - `kept`: channels that are left at the output of the 2-D part, inside the 1-D part, and at the output of the 1-D
      part. None stands for channels that are never removed.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kept: tuple[int | None, int, int | None],
        transition: bool,
        stride: int,
        dilation: int,
        sub_bands: int,
        dropout: float,
    ):
        super().__init__()
        kept2, inner, kept1 = kept
        two, one = kept2 or channels, kept1 or channels
        # 2-D part
        self.front = nn.Identity()
        if transition:
            self.front = nn.Sequential(nn.Conv2d(in_channels, two, 1, bias=False), nn.BatchNorm2d(two), nn.ReLU())
        self.transition = transition
        self.index2 = ChannelIndex(channels, two)
        self.conv2 = nn.Conv2d(two, two, (3, 1), (stride, 1), padding=(1, 0), groups=two, bias=False)
        self.norm2 = SubSpectralNorm(two, sub_bands)
        # 1-D part
        self.inner = ChannelIndex(channels, inner)
        self.conv1 = nn.Conv2d(
            inner, inner, (1, 3), padding=(0, dilation), dilation=(1, dilation), groups=inner, bias=False
        )
        self.norm1 = nn.BatchNorm2d(inner)
        self.act1 = nn.SiLU()
        self.pointwise = nn.Conv2d(inner, one, 1, bias=False)
        self.dropout = nn.Dropout2d(dropout)
        self.index1 = ChannelIndex(channels, one)
        self.all_outputs = kept2 is None

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, C, F / stride, T)` for `x`, `(B, C_in, F, T)`."""
        read = self.front(x) if self.transition else self.index2.select(x)
        branch = self.norm2(self.conv2(read))
        mean = self.index2.spread(branch.mean(2, keepdim=True))  # (B, C, F, T) -> (B, C, 1, T)
        series = self.act1(self.norm1(self.conv1(self.inner.select(mean))))
        series = self.index1.spread(self.dropout(self.pointwise(series)))  # (B, C, 1, T)
        if self.transition:
            return F.relu(self.index2.spread(branch) + series)
        return F.relu(self.index2.add(x, branch) + series)

    def groups(self, path: str) -> list[ChannelGroup]:
        two = ChannelGroup(
            producer=f"{path}.front.0" if self.transition else f"{path}.conv2",
            output=f"{path}.norm2",
            followers=(
                *((f"{path}.front.1", f"{path}.conv2") if self.transition else ()),
                f"{path}.norm2",
                f"{path}.index2",
            ),
            consumers=(),
        )
        inner = ChannelGroup(
            producer=f"{path}.conv1",
            output=f"{path}.act1",
            followers=(f"{path}.inner", f"{path}.norm1"),
            consumers=(f"{path}.pointwise",),
        )
        one = ChannelGroup(
            producer=f"{path}.pointwise", output=f"{path}.dropout", followers=(f"{path}.index1",), consumers=()
        )
        return [inner] if self.all_outputs else [two, inner, one]


class _BCHead(nn.Module):
    """The last two layers: a 5x5 depthwise convolution without padding over mel bands, then a 1x1 convolution."""

    def __init__(self, channels: int, *, depthwise: int, features: int):
        super().__init__()
        self.index = ChannelIndex(channels, depthwise)
        self.depthwise = nn.Conv2d(depthwise, depthwise, 5, padding=(0, 2), groups=depthwise, bias=False)
        self.pointwise = nn.Conv2d(depthwise, features, 1, bias=False)
        self.norm = nn.BatchNorm2d(features)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.pointwise(self.depthwise(self.index.select(x)))))

    def groups(self, path: str) -> list[ChannelGroup]:
        depthwise = ChannelGroup(
            producer=f"{path}.depthwise",
            output=f"{path}.depthwise",
            followers=(f"{path}.index",),
            consumers=(f"{path}.pointwise",),
        )
        pointwise = ChannelGroup(
            producer=f"{path}.pointwise", output=f"{path}.act", followers=(f"{path}.norm",), consumers=("head",)
        )
        return [depthwise, pointwise]


class SubSpectralNorm(nn.Module):
    """Batch normalization with separate statistics and parameters for each group of neighbouring mel bands.

    Chang et al. 2021, "SubSpectral normalization for neural audio data processing". All tensors are `(C, S)`, since
    surgery removes channels along the first dimension.

    **Arguments:**

    - `num_features`: number of channels, C.
    - `sub_bands`: number of groups of bands, S; it must divide the number of mel bands.

    >>> SubSpectralNorm(8, sub_bands=5).weight.shape
    torch.Size([8, 5])
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, sub_bands: int, *, momentum: float = 0.1, eps: float = 1e-5):
        super().__init__()
        self.num_features, self.sub_bands, self.momentum, self.eps = num_features, sub_bands, momentum, eps
        self.weight = nn.Parameter(torch.ones(num_features, sub_bands))
        self.bias = nn.Parameter(torch.zeros(num_features, sub_bands))
        self.register_buffer("running_mean", torch.zeros(num_features, sub_bands))
        self.register_buffer("running_var", torch.ones(num_features, sub_bands))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized `x`, `(B, C, F, T)`."""
        batch, channels, bands, frames = x.shape
        # (B, C, F, T) -> (B, C * S, F / S, T)
        split = x.reshape(batch, channels * self.sub_bands, bands // self.sub_bands, frames)
        normalized = F.batch_norm(
            split,
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.view(-1),
            self.bias.view(-1),
            self.training,
            self.momentum,
            self.eps,
        )
        return normalized.view_as(x)

    def extra_repr(self) -> str:
        """Return the arguments for the module's `repr`."""
        return f"{self.num_features}, sub_bands={self.sub_bands}"

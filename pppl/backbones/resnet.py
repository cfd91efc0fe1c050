"""Residual networks of basic blocks for images (He et al. 2016, "Deep residual learning for image recognition")."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import Backbone, chosen_widths
from .groups import ChannelGroup
from .index import ChannelIndex
from .registry import register_backbone

# A function from (input channels, output channels, stride) to a module, with or without parameters.
_Shortcut = Callable[[int, int, int], nn.Module]


class CifarResNet(Backbone):
    """ResNet-20 to ResNet-110 for images of about 32 x 32: three stages of 3x3 convolutions (section 4.2).

    The channels inside each block are a group; the residual stream is not. Module names are those of Y. Idelbayev's
    `pytorch_resnet_cifar10`, whose state dicts load into the network with shortcut A.

    The paper states 0.27 M parameters for ResNet-20, 0.85 M for ResNet-56 and 1.7 M for ResNet-110. At 32 x 32 they
    take 40.6, 125.5 and 252.9 MMACs (with shortcut B 40.8, 125.7 and 253.1). With one channel left in every group,
    ResNet-20 takes 4.8 % of its MACs, and 3.0 % with `index_add`.

    **Arguments:**

    - `depth`: number of layers, 6n + 2.
    - `in_channels`, `num_outputs`: channels and classes of the data.
    - `width`: channels of the first stage; the next two have 2 and 4 times as many.
    - `shortcut`: shortcut between stages. `A` subsamples and pads with zero channels; `B` is a 1x1 convolution.
    - `index_add`: whether the last convolution of each block is a group, too; its channels are added back at their
      index.
    - `widths`: channels of each group; None for all.
    """

    def __init__(
        self,
        depth: int,
        *,
        in_channels: int = 3,
        num_outputs: int = 10,
        width: int = 16,
        shortcut: str = "A",
        index_add: bool = False,
        widths: Sequence[int] | None = None,
    ):
        super().__init__()
        if depth % 6 != 2 or depth < 8 or shortcut not in _SHORTCUTS or width < 1:
            raise ValueError("depth must be 6n + 2, shortcut A or B, and width 1 or more")
        stages = _Stages(
            channels=(width, 2 * width, 4 * width),
            blocks=(depth - 2) // 6,
            shortcut=_SHORTCUTS[shortcut],
            shortcut_name="shortcut",
            index_add=index_add,
            widths=widths,
        )
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1, self.layer2, self.layer3 = stages.modules
        self.linear = nn.Linear(4 * width, num_outputs)
        _initialize(self)
        self.groups = stages.groups

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, `(B, num_outputs)`, for images `(B, C, H, W)`."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


@register_backbone("resnet18")
class ResNet18(Backbone):
    """ResNet-18 for images of about 224 x 224 (table 1), with torchvision's module names.

    It has 11.69 M parameters and takes 1.81 GMACs at 224 x 224 and 1000 classes (torchvision; the paper states 1.8 G).
    With one channel left in every group it takes 8.3 % of its MACs, and 8.0 % with `index_add`, mostly for the first
    convolution.

    **Arguments:** the same as for `CifarResNet`, without `depth` and `shortcut`. The four stages have 1, 2, 4 and 8
    times `width` channels, and all shortcuts are of kind B.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_outputs: int = 1000,
        width: int = 64,
        index_add: bool = False,
        widths: Sequence[int] | None = None,
    ):
        super().__init__()
        if width < 1:
            raise ValueError("width must be 1 or more")
        stages = _Stages(
            channels=(width, 2 * width, 4 * width, 8 * width),
            blocks=2,
            shortcut=_projection,
            shortcut_name="downsample",
            index_add=index_add,
            widths=widths,
        )
        self.conv1 = nn.Conv2d(in_channels, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages.modules
        self.fc = nn.Linear(8 * width, num_outputs)
        _initialize(self)
        self.groups = stages.groups

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, `(B, num_outputs)`, for images `(B, C, H, W)`."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class _Stages:
    """The stages of a residual network, with their groups and widths. All but the first halve the resolution."""

    def __init__(
        self,
        *,
        channels: Sequence[int],
        blocks: int,
        shortcut: _Shortcut,
        shortcut_name: str,
        index_add: bool,
        widths: Sequence[int] | None,
    ):
        per_block = 2 if index_add else 1
        self.widths = chosen_widths(widths, [c for c in channels for _ in range(blocks * per_block)])
        left = iter(self.widths)
        self.modules: list[nn.Sequential] = []
        groups: list[ChannelGroup] = []
        before = channels[0]
        for number, out in enumerate(channels, 1):
            stage = nn.Sequential()
            for index in range(blocks):
                stride = 2 if number > 1 and index == 0 else 1
                skip = nn.Identity() if stride == 1 and before == out else shortcut(before, out, stride)
                inner, kept = next(left), next(left) if index_add else None
                block = _BasicBlock(before, out, inner=inner, kept=kept, stride=stride, **{shortcut_name: skip})
                stage.append(block)
                groups += block.groups(f"layer{number}.{index}")
                before = out
            self.modules.append(stage)
        self.groups = tuple(groups)


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut. The shortcut is registered under the name of its keyword argument.

    - `inner`: output channels of the first convolution.
    - `kept`: output channels of the second convolution, which are added back at their index; None if they are never
      removed.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, inner: int, kept: int | None, stride: int, **shortcut: nn.Module
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, inner, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(inner, kept or out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(kept or out_channels)
        self.index = ChannelIndex(out_channels, kept) if kept else None
        ((self.shortcut_name, skip),) = shortcut.items()
        self.add_module(self.shortcut_name, skip)

    def forward(self, x: Tensor) -> Tensor:
        skip = getattr(self, self.shortcut_name)(x)
        branch = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        return F.relu(skip + branch if self.index is None else self.index.add(skip, branch))

    def groups(self, path: str) -> list[ChannelGroup]:
        first = ChannelGroup(
            producer=f"{path}.conv1", output=f"{path}.act1", followers=(f"{path}.bn1",), consumers=(f"{path}.conv2",)
        )
        second = ChannelGroup(
            producer=f"{path}.conv2", output=f"{path}.bn2", followers=(f"{path}.bn2", f"{path}.index"), consumers=()
        )
        return [first] if self.index is None else [first, second]


class PaddedSubsample(nn.Module):
    """Shortcut A: every `stride`-th pixel, with zeros for the new channels.

    >>> PaddedSubsample(16, 32, stride=2)(torch.ones(1, 16, 8, 8)).shape
    torch.Size([1, 32, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        new = out_channels - in_channels
        self.in_channels = in_channels
        self.stride, self.padding = stride, (new // 2, new - new // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, C_out, H / stride, W / stride)` for `x`, `(B, C_in, H, W)`."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.padding))

    def in_blocks(self) -> nn.Module:
        """Return an equal module for inference engines that store images in blocks of channels.

        Slicing and padding would force such an engine to leave this layout.
        """
        return _SubsampleInBlocks(self.in_channels, self.stride, self.padding)


class _SubsampleInBlocks(nn.Module):
    """Shortcut A from pooling, concatenation and convolutions that output zeros, which keep images in blocks."""

    def __init__(self, in_channels: int, stride: int, padding: tuple[int, int]):
        super().__init__()
        self.stride = stride
        self.zeros = nn.ModuleList(_no_weights(in_channels, new) for new in padding if new)
        self.before = padding[0] > 0

    def forward(self, x: Tensor) -> Tensor:
        # (B, C_in, H, W) -> (B, C_out, H / stride, W / stride)
        x = F.max_pool2d(x, 1, self.stride)
        parts = [zeros(x) for zeros in self.zeros]
        return torch.cat([*parts[: self.before], x, *parts[self.before :]], dim=1)


def _no_weights(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a convolution whose outputs are zero.

    It has as many groups as possible if each is to have whole blocks of 16 channels.
    """
    both = math.gcd(in_channels, out_channels)
    groups = both // 16 if both % 16 == 0 else 1
    convolution = nn.Conv2d(in_channels, out_channels, 1, bias=False, groups=groups).requires_grad_(False)
    nn.init.zeros_(convolution.weight)
    return convolution


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return shortcut B, a 1x1 convolution with batch normalization."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


_SHORTCUTS: dict[str, _Shortcut] = {"A": PaddedSubsample, "B": _projection}


def _initialize(network: nn.Module) -> None:
    """Initialize all convolutions with He initialization, as in the paper."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


for _depth in (20, 32, 44, 56, 110):
    register_backbone(f"resnet{_depth}")(partial(CifarResNet, _depth))

"""TC-ResNet: temporal convolutions for keyword spotting.

Choi et al. 2019, "Temporal convolution for real-time keyword spotting on mobile devices". The structure follows their
code, hyperconnect/TC-ResNet.
"""

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import Backbone, chosen_widths
from .groups import ChannelGroup
from .index import ChannelIndex
from .registry import register_backbone

# By name: channels of the first convolution and of each block.
_FORMS = {"tc_resnet8": (16, 24, 32, 48), "tc_resnet14": (16, 24, 24, 32, 32, 48, 48)}


class TCResNet(Backbone):
    """TC-ResNet8 and TC-ResNet14 for spectrograms: 9-tap convolutions over time, with mel bands as channels.

    A block that changes the number of channels halves the length and has a 1x1 convolution as its shortcut. Groups are
    the channels of the first convolution and those of the first convolution of each block. The outputs of the blocks
    are no groups.

    For 98 x 40 and 12 classes the paper (table 2) states 66 K parameters and 3.0 MFLOPs (TC-ResNet8), 145 K and 6.6 M
    (width 1.5), 137 K and 6.1 M (TC-ResNet14), 305 K and 13.4 M (width 1.5). It counts two operations per MAC (1.5,
    3.3, 3.1 and 6.7 MMACs), and its parameters include the running statistics. With one channel left in every group,
    TC-ResNet8 takes 5.7 % of its MACs, and 4.2 % with `index_add`.

    **Arguments:**

    - `name`: `tc_resnet8` or `tc_resnet14`.
    - `in_channels`, `num_outputs`: channels and classes of the data.
    - `bands`: mel bands of the data.
    - `width`: factor on the channels of every layer.
    - `dropout`: dropout rate of the features that the last layer reads.
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
        bands: int = 40,
        width: float = 1.0,
        dropout: float = 0.5,
        index_add: bool = False,
        widths: Sequence[int] | None = None,
    ):
        super().__init__()
        first, *blocks = (int(channels * width) for channels in _FORMS[name])
        if first < 1:
            raise ValueError("width leaves a layer without channels: use a larger width")
        per_block = 2 if index_add else 1
        chosen = chosen_widths(widths, [first, *(c for c in blocks for _ in range(per_block))])
        left = iter(chosen)
        stem = next(left)
        self.conv = nn.Conv1d(in_channels * bands, stem, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(stem)
        self.act = nn.ReLU()
        self.blocks = nn.ModuleList()
        groups: list[ChannelGroup] = []
        # The first shortcut is always a convolution. It reads the channels that are left of the first convolution.
        before, full = stem, first
        for out in blocks:
            inner, kept = next(left), next(left) if index_add else None
            block = _TCBlock(before, out, inner=inner, kept=kept, project=out != full)
            groups += block.groups(f"blocks.{len(self.blocks)}")
            self.blocks.append(block)
            before = full = out
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(before, num_outputs, bias=False)
        readers = ("blocks.0.conv1", "blocks.0.project.0")
        self.groups = (ChannelGroup(producer="conv", output="act", followers=("norm",), consumers=readers), *groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, `(B, num_outputs)`, for spectrograms `(B, C, T, F)`."""
        x = x.transpose(2, 3).flatten(1, 2)  # (B, C, T, F) -> (B, C * F, T)
        x = self.act(self.norm(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(self.dropout(x.mean(2)))


class _TCBlock(nn.Module):
    """A block of two 9-tap convolutions beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, *, inner: int, kept: int | None, project: bool):
        super().__init__()
        stride = 2 if project else 1
        self.conv1 = nn.Conv1d(in_channels, inner, 9, stride, padding=4, bias=False)
        self.norm1 = nn.BatchNorm1d(inner)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv1d(inner, kept or out_channels, 9, padding=4, bias=False)
        self.norm2 = nn.BatchNorm1d(kept or out_channels)
        self.index = ChannelIndex(out_channels, kept) if kept else None
        self.project = nn.Identity()
        if project:
            shortcut = nn.Conv1d(in_channels, out_channels, 1, stride, bias=False)
            self.project = nn.Sequential(shortcut, nn.BatchNorm1d(out_channels), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        branch = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x)))))
        skip = self.project(x)
        return F.relu(skip + branch if self.index is None else self.index.add(skip, branch))

    def groups(self, path: str) -> list[ChannelGroup]:
        first = ChannelGroup(
            producer=f"{path}.conv1", output=f"{path}.act1", followers=(f"{path}.norm1",), consumers=(f"{path}.conv2",)
        )
        second = ChannelGroup(
            producer=f"{path}.conv2", output=f"{path}.norm2", followers=(f"{path}.norm2", f"{path}.index"), consumers=()
        )
        return [first] if self.index is None else [first, second]


for _name in _FORMS:
    register_backbone(_name)(partial(TCResNet, _name))

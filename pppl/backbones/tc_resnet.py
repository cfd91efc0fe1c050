"""Temporal convolutions for keyword spotting (Choi et al. 2019, "Temporal convolution for real-time keyword spotting on
mobile devices"; structure as in their code, hyperconnect/TC-ResNet)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import Backbone, ChannelGroup, ShapeSpec, chosen_widths
from .index import ChannelIndex

# Name: channels of the first convolution and of each block.
_FORMS = {"tc_resnet8": (16, 24, 32, 48), "tc_resnet14": (16, 24, 24, 32, 32, 48, 48)}


class TCResNet(Backbone):
    """TC-ResNet8 and 14, for spectrograms, whose mel bands become channels of a series: 9-tap convolutions over time.

    A block whose channels differ from those before it halves the length and has a 1x1 convolution as its shortcut.
    Groups are the first convolution and the first one of each block; the blocks' outputs are not.

    For 98 x 40 and 12 classes the paper (table 2) says 66 K parameters and 3.0 MFLOPs (TC-ResNet8), 145 K and 6.6 M
    (width 1.5), 137 K and 6.1 M (TC-ResNet14), 305 K and 13.4 M (width 1.5): two operations per MAC (1.5, 3.3, 3.1 and
    6.7 MMACs), and its parameters hold the running statistics. With one channel left in every group TC-ResNet8 takes
    5.7 % of its MACs, with `index_add` 4.2 %.

    **Arguments:**

    - `name`: `tc_resnet8` or `tc_resnet14`.
    - `in_channels`, `num_classes`: of the data.
    - `bands`: mel bands of the data.
    - `width`: multiplies the channels of every layer.
    - `dropout`: of the features that the last layer reads.
    - `index_add`: whether each block's last convolution is a group too; its channels are added back at their index.
    - `widths`: channels of each group; all by default.
    """

    def __init__(
        self,
        name: str,
        *,
        in_channels: int = 1,
        num_classes: int = 12,
        bands: int = 40,
        width: float = 1.0,
        dropout: float = 0.5,
        index_add: bool = False,
        widths: Sequence[int] | None = None,
    ):
        super().__init__()
        first, *blocks = (int(channels * width) for channels in _FORMS[name])
        if first < 1:
            raise ValueError("width leaves a layer without channels")
        per_block = 2 if index_add else 1
        chosen = chosen_widths(widths, [first, *(c for c in blocks for _ in range(per_block))])
        left = iter(chosen)
        stem = next(left)
        self.conv = nn.Conv1d(in_channels * bands, stem, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(stem)
        self.act = nn.ReLU()
        self.blocks = nn.ModuleList()
        groups: list[ChannelGroup] = []
        # The first block always has a convolution as its shortcut, which reads what is left of the first channels.
        before, full = stem, first
        for out in blocks:
            inner, kept = next(left), next(left) if index_add else None
            block = _TCBlock(before, out, inner=inner, kept=kept, project=out != full)
            groups += block.groups(f"blocks.{len(self.blocks)}")
            self.blocks.append(block)
            before = full = out
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(before, num_classes, bias=False)
        readers = ("blocks.0.conv1", "blocks.0.project.0")
        self.groups = (ChannelGroup(producer="conv", output="act", followers=("norm",), consumers=readers), *groups)
        self.spec = ShapeSpec(
            backbone=name,
            options={
                "in_channels": in_channels,
                "num_classes": num_classes,
                "bands": bands,
                "width": width,
                "dropout": dropout,
                "index_add": index_add,
                "widths": chosen,
            },
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, T, F)` to logits, `(B, num_classes)`."""
        x = x.transpose(2, 3).flatten(1, 2)  # (B, C, T, F) -> (B, C * F, T)
        x = self.act(self.norm(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(self.dropout(x.mean(2)))


class _TCBlock(nn.Module):
    """Two 9-tap convolutions beside a shortcut."""

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

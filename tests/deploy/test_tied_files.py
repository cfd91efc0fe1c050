"""The personal model file of a network whose layers share tensors."""

from pathlib import Path

import torch

from pppl.backbones import build, slice_network, spec_for
from pppl.data.preprocessing import Preprocessing
from pppl.deploy import PersonalFile, read_personal

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.stem = nn.Conv1d(in_channels, 8, 3)
        self.left, self.right = nn.Linear(8, num_classes), nn.Linear(8, num_classes)
        self.right.bias = self.left.bias

    def forward(self, x):
        x = self.stem(x).relu().mean(2)
        return self.left(x) + self.right(x).tanh()
"""


def test_shared_tensors_are_written_and_read(tmp_path: Path):
    (tmp_path / "nets.py").write_text(NET)
    network = build(spec_for(f"{tmp_path}/nets.py:Net", {}, (2, 10), 3)).eval()
    smaller = slice_network(network, [torch.arange(width) % 2 == 0 for width in network.widths])
    values = Preprocessing(classes=("a", "b", "c"), shape=(2, 10), gain=(1.0, 1.0), bias=(0.0, 0.0))
    PersonalFile(network=smaller, full=network.spec, preprocessing=values, base_sha256="").write(
        tmp_path / "p.safetensors"
    )
    x = torch.rand(2, 2, 10)
    assert read_personal(tmp_path / "p.safetensors").network(x).equal(smaller(x))

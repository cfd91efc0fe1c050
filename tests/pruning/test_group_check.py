"""Groups whose statement is wrong are refused before anything is trained."""

import pytest
from torch import nn

from pppl.backbones import Backbone, ChannelGroup, build, check_groups, spec_for
from pppl.system.errors import UserError


class _Two(Backbone):
    def __init__(self, output: str):
        super().__init__()
        self.one, self.norm, self.act = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        self.two, self.last = nn.Conv2d(4, 6, 3), nn.ReLU()
        self.head = nn.Linear(6, 2)
        self.groups = (
            ChannelGroup(producer="one", output=output, followers=("norm",), consumers=("two",)),
            ChannelGroup(producer="two", output="last", followers=(), consumers=("head",)),
        )
        self.spec = build(spec_for("convnet", {"widths": (4, 6)}, (1, 8, 8), 2)).spec

    def forward(self, x):
        return self.head(self.last(self.two(self.act(self.norm(self.one(x))))).mean((2, 3)))


@pytest.mark.parametrize("output", ["act", "norm", "one"])
def test_an_output_before_batch_normalization_is_refused(output: str):
    network = _Two(output)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    if output != "one":  # ReLU of 0 is 0
        check_groups(network, (1, 8, 8))
    else:
        with pytest.raises(UserError, match=r"group 0 \(producer 'one', output 'one'\): masking them does not equal"):
            check_groups(network, (1, 8, 8))
    assert network.training
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())

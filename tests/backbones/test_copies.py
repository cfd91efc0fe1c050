"""Slices of networks whose attributes hold layers beside the tree of modules."""

from functools import partial
from typing import Any
from weakref import ref

import pytest
import torch
from masking import assert_close, masked, masks_of, with_values
from torch import Tensor, nn

from pppl.backbones import Adapted, artifact_bytes, slice_network
from pppl.backbones.surgery import stored_once
from pppl.system.errors import UserError

X = torch.rand(3, 6, generator=torch.Generator().manual_seed(1))


class Held(nn.Module):
    """A network that calls its normalization by an attribute beside it."""

    def __init__(self, hold: Any):
        super().__init__()
        self.one, self.norm, self.two = nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Linear(12, 3)
        self.post = hold(self)

    def forward(self, x: Tensor) -> Tensor:
        post: Any = self.post
        while not callable(post):
            post = next(iter(post.values())) if isinstance(post, dict) else post[0]
        post = post() if isinstance(post, ref) else post
        return self.two(torch.relu(post(self.one(x))))

    def normalized(self, x: Tensor) -> Tensor:
        return self.norm(x)


class Plain:
    """An object that calls a layer."""

    def __init__(self, layer: nn.Module):
        self.layer = layer

    def __call__(self, x: Tensor) -> Tensor:
        return self.layer(x)


FOLLOWED = {
    "list": lambda net: [net.norm],
    "nested": lambda net: {"a": ([net.norm],)},
    "bound method": lambda net: net.normalized,
    "partial": lambda net: partial(Held.normalized, net),
    "object": lambda net: Plain(net.norm),
}


@pytest.mark.parametrize("how", FOLLOWED)
def test_layers_that_attributes_hold_are_those_of_the_copy(how: str):
    network = Adapted(Held(FOLLOWED[how]).eval(), X)
    with_values(network)
    masks = masks_of(network.eval().widths, 0)
    smaller = slice_network(network, masks)
    with torch.no_grad():
        expected = masked(network, masks, X)
        assert_close(expected, [smaller(X)])
        for value in network.parameters():
            value.add_(1.0)
        assert_close(expected, [smaller(X)])


REFUSED = {
    "no submodule": (lambda net: [nn.BatchNorm1d(12)], "'post' holds a BatchNorm1d that is no submodule"),
    "function": (lambda net: lambda x: net.norm(x), "'post' holds a Held by a function"),
    "default": (lambda net: lambda x, norm=net.norm: norm(x), "'post' holds a BatchNorm1d by a function"),
    "weak reference": (lambda net: [ref(net.norm)], "'post' holds a BatchNorm1d by a function"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_layers_that_no_copy_can_follow_are_refused_by_their_path(how: str):
    hold, sentence = REFUSED[how]
    with pytest.raises(UserError) as error:
        Adapted(Held(hold).eval(), X)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_traced_graph_is_sliced_and_stays_as_it_is():
    net = nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3)).eval()
    graph = torch.fx.symbolic_trace(net)
    network = Adapted(graph, X)
    with_values(network)
    masks = masks_of(network.eval().widths, 0)
    smaller = slice_network(network, masks)
    with torch.no_grad():
        assert_close(masked(network, masks, X), [smaller(X)])
        before = graph(X)
        small: Any = smaller.net
        for node in small.graph.nodes:
            if node.op == "call_module" and node.target == "2":
                node.replace_all_uses_with(node.args[0])
        small.recompile()
        assert graph(X).equal(before), "a change of the smaller network's graph is none of the whole one's"


def test_a_graph_may_be_long():
    steps = [nn.Linear(6, 12), *(nn.ReLU() for _ in range(600)), nn.Linear(12, 3)]
    network = Adapted(torch.fx.symbolic_trace(nn.Sequential(*steps)), X)
    assert slice_network(network, [torch.arange(12) < 5]).widths == (5,)


def test_frozen_parameters_stay_frozen():
    net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    net[0].requires_grad_(False)
    net[4].bias.requires_grad_(False)
    network = Adapted(net, X)
    frozen = {name for name, value in network.named_parameters() if not value.requires_grad}
    smaller = slice_network(network, masks_of(network.widths, 0))
    assert {name for name, value in smaller.named_parameters() if not value.requires_grad} == frozen
    assert len(frozen) == 3


def test_a_shared_tensor_is_stored_once():
    layers = [nn.Linear(4, 4, bias=False) for _ in range(3)]
    apart = artifact_bytes(nn.Sequential(*layers))
    layers[2].weight = layers[0].weight
    net = nn.Sequential(*layers)
    net.register_buffer("part", layers[1].weight.detach()[0])
    assert artifact_bytes(net) < apart
    state, shared = stored_once(net)
    assert shared == {"2.weight": "0.weight"}
    assert set(state) == {"part", "0.weight", "1.weight"}

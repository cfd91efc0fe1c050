"""Costs and surgery of structures that no registered backbone has."""

import pytest
import torch
import torch_pruning as tp
from structures import STRUCTURES, Net, group
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pppl.backbones import Backbone, filters, hook_groups, slice_network
from pppl.data import Support
from pppl.gating import GatedNetwork
from pppl.gating.gate import apply_gate
from pppl.personalizers.static import CRITERIA
from pppl.pruning import Cost, CostModel, filter_traces, importance_scores
from pppl.system.errors import UserError
from pppl.tasks import TASKS

every_structure = pytest.mark.parametrize("name", STRUCTURES)
# What the counter leaves out: 10 steps of both directions of two recurrent layers; a matrix times a vector.
_UNSEEN = {"recurrent": 10 * 2 * (4 * 6 * (4 + 6) + 4 * 6 * (12 + 6)), "functional": 4 * 20}


def _made(name: str) -> tuple[Net, tuple[int, ...]]:
    torch.manual_seed(0)
    network, shape = STRUCTURES[name]()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm1d)):
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
    return network.eval(), shape


def _masks(network: Backbone, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    masks = [torch.rand(width, generator=generator) < 0.5 for width in network.widths]
    for mask in masks:
        mask[torch.randint(len(mask), (1,), generator=generator)] = True
    return masks


def _counted(network: Backbone, shape: tuple[int, ...]) -> float:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # of which the counter sees nothing
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, *shape))
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    return counter.get_total_flops() / 2


@every_structure
def test_macs_and_parameters_are_counted_at_any_width(name: str):
    network, shape = _made(name)
    cost = CostModel(network, shape)
    for masks in ([torch.ones(width) > 0 for width in network.widths], *(_masks(network, seed) for seed in range(3))):
        sliced = slice_network(network, masks)
        macs = _counted(sliced, shape) + _UNSEEN.get(name, 0)
        assert cost(sliced.widths) == Cost(macs=int(macs), params=sum(p.numel() for p in sliced.parameters()))


@every_structure
def test_masked_equals_sliced(name: str):
    network, shape = _made(name)
    x = torch.randn(4, *shape)
    for seed in range(3):
        masks = _masks(network, seed)
        with torch.no_grad(), hook_groups(network, after=lambda i, out: apply_gate(out, masks[i].float())):  # noqa: B023
            masked = network(x)
        with torch.no_grad():
            torch.testing.assert_close(slice_network(network, masks)(x), masked, atol=1e-5, rtol=1e-5)


def _net(forward, groups=None, **modules: nn.Module) -> Net:
    groups = [group("a", "act", "b")] if groups is None else groups
    given = {"a": nn.Conv2d(3, 8, 3), "act": nn.ReLU(), "b": nn.Conv2d(8, 4, 1), "head": nn.Linear(4, 5), **modules}
    return Net(given, groups, forward)


def _chain(*between: str):
    """Everything in a row: `a`, `act`, what lies between, `b`, and the head on means over pixels."""

    def forward(n: Net, x: torch.Tensor) -> torch.Tensor:
        for name in ("a", "act", *between, "b"):
            x = n.get_submodule(name)(x)
        return n.head(x.flatten(2).mean(2))

    return forward


def _weight_normalized(layer: nn.Module) -> nn.Module:
    return nn.utils.parametrizations.weight_norm(layer)


def _varying(n: Net, x: torch.Tensor) -> torch.Tensor:
    x = n.act(n.a(x)).flatten(2)
    return n.head(n.b(((x @ x.transpose(1, 2)) @ x)[..., None]).flatten(2).mean(2))  # (C, C): quadratic


def _bilinear(n: Net, x: torch.Tensor) -> torch.Tensor:
    x = n.b(n.act(n.a(x))).flatten(2).mean(2)
    return n.head(n.form(x, x))


def _flattened(n: Net, x: torch.Tensor) -> torch.Tensor:
    return n.head(n.act(n.a(x)).flatten(1))


def _twice(n: Net, x: torch.Tensor) -> torch.Tensor:
    return n.head(n.act(n.b(n.act(n.a(x)))).flatten(2).mean(2))


def _lookup(n: Net, x: torch.Tensor) -> torch.Tensor:
    return n.head(n.b(n.act(n.a(x))).flatten(2).mean(2)) + n.look(torch.zeros(len(x), 4))


class _Lookup(nn.Linear):
    """Has a weight that nothing is multiplied by."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.weight[:, 0].expand(len(input), -1)


def _tied() -> Net:
    made = _net(_chain("between"), between=nn.Conv2d(8, 8, 1))
    made.get_submodule("between").weight = nn.Parameter(torch.randn(8, 8, 1, 1))  # type: ignore[assignment]
    made.get_submodule("between").bias = made.get_submodule("a").bias  # type: ignore[assignment]
    return made


# Each with the layer that the message names.
REFUSED = {
    "grouped producer": ("'a'", lambda: _net(_chain(), a=nn.Conv2d(3, 9, 3, groups=3), b=nn.Conv2d(9, 4, 1))),
    "grouped consumer": ("'b'", lambda: _net(_chain(), b=nn.Conv2d(8, 4, 1, groups=2))),
    "depthwise consumer": ("'b'", lambda: _net(_chain(), b=nn.Conv2d(8, 8, 1, groups=8), head=nn.Linear(8, 5))),
    "grouped follower": (
        "'c'",
        lambda: _net(_chain("c"), [group("a", "act", "b", followers=["c"])], c=nn.Conv2d(8, 8, 1, groups=2)),
    ),
    "group normalization": (
        "'norm'",
        lambda: _net(_chain("norm"), [group("a", "norm", "b", followers=["norm"])], norm=nn.GroupNorm(2, 8)),
    ),
    "normalization that is not named": ("channels", lambda: _net(_chain("norm"), norm=nn.BatchNorm2d(8))),
    "weight normalization": ("'a'", lambda: _net(_chain(), a=_weight_normalized(nn.Conv2d(3, 8, 3)))),
    "flattened": (
        "'head'",
        lambda: _net(_flattened, [group("a", "act", "head")], head=nn.Linear(8 * 36, 5)),
    ),
    "recurrent consumer": ("'rnn'", lambda: _net(_chain(), [group("a", "act", "rnn")], rnn=nn.GRU(8, 4))),
    "output at two places": ("'act'", lambda: _net(_twice, head=nn.Linear(4, 5))),
    "output of other channels": ("'b'", lambda: _net(_chain(), [group("a", "b", "b")])),
    "two groups": (
        "'b'",
        lambda: _net(_chain("c"), [group("a", "act", "b"), group("c", "c", "b")], c=nn.Conv2d(8, 8, 1)),
    ),
    "shared bias": ("shares its bias", _tied),
    "products of activations": ("its own forward", lambda: _net(_varying)),
    "bilinear": ("'form'", lambda: _net(_bilinear, form=nn.Bilinear(4, 4, 4))),
    "weight without product": ("'look'", lambda: _net(_lookup, look=_Lookup(4, 5))),
    "no such layer": ("'missing'", lambda: _net(_chain(), [group("a", "act", "missing")])),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_counted_or_sliced_is_refused_by_name(case: str):
    named, make = REFUSED[case]
    with pytest.raises(UserError) as error:
        CostModel(make().eval(), (3, 8, 8))
    assert named in str(error.value)
    assert "backbone net" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "case", ["grouped producer", "grouped consumer", "group normalization", "flattened", "shared bias"]
)
def test_surgery_refuses_by_itself(case: str):
    network = REFUSED[case][1]().eval()
    with pytest.raises(UserError, match="cannot be pruned"):
        slice_network(network, [torch.arange(width) < 3 for width in network.widths])


def test_what_layers_share_is_shared_after_surgery():
    network, shape = _made("shared")
    sliced = slice_network(network, _masks(network, 0))
    assert sliced.get_submodule("one") is sliced.get_submodule("two") is not network.get_submodule("one")
    assert sliced.get_parameter("first.weight") is sliced.get_parameter("second.weight")
    assert CostModel(sliced, shape).full == CostModel(network, shape)(sliced.widths)


@every_structure
def test_gates_see_and_mask_channels_wherever_they_lie(name: str):
    network, shape = _made(name)
    if name == "shared":
        with pytest.raises(UserError, match="'a'"):  # a gate decides once in a pass
            GatedNetwork(network).train()(torch.randn(4, *shape))
        return
    gated = GatedNetwork(network).train()
    output = gated(torch.randn(4, *shape))
    assert [gate.shape for gate in output.gates] == [(4, width) for width in network.widths]
    (output.logits.square().sum() + sum(gate.mean() for gate in output.gates)).backward()
    assert all(gate.logits.bias.grad.abs().sum() > 0 for gate in gated.gates)  # type: ignore[union-attr,operator]


@every_structure
def test_every_criterion_scores_channels_wherever_they_lie(name: str):
    network, shape = _made(name)
    x, y = torch.randn(6, *shape), torch.arange(6) % 5
    for criterion in ("l1", "fpgm", "lamp", "taylor"):
        scores = CRITERIA[criterion].score(network, Support(x=x, y=y), TASKS["classification"])
        assert [score.shape for score in scores] == [(width,) for width in network.widths]


def test_filters_of_a_transposed_convolution_are_along_its_second_dimension():
    network, shape = _made("transposed")
    up = network.get_submodule("up")
    up.weight.data[:, 2] = 0  # type: ignore[union-attr,operator]
    assert filters(network)[1][2].abs().sum() == 0
    assert importance_scores(network, tp.importance.MagnitudeImportance(p=1))[1].argmin() == 2
    assert filter_traces(network, torch.randn(2, *shape))[1].shape == (6,)


def test_costs_leave_modes_and_settings_as_they_were():
    network, shape = _made("attention")
    network.train().get_submodule("mix").eval()
    before = [module.training for module in network.modules()]
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        CostModel(network, shape)
        assert not torch.backends.mha.get_fastpath_enabled()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    CostModel(network, shape)
    assert torch.backends.mha.get_fastpath_enabled()
    assert [module.training for module in network.modules()] == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())

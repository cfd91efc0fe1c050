"""A person's delta, learnt on a support set."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pppl.backbones import build, spec_for
from pppl.data import Support, TimedCache
from pppl.diff import base_sha256
from pppl.tasks import TASKS
from pppl.training import delta_training as diff
from pppl.training import learn_delta
from pppl.training.delta_training import DiffSettings


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    network = build(spec_for("resnet20", {"width": 4}, (3, 8, 8), 5))
    for _ in range(3):  # batch statistics that are not those of a new network
        network(torch.randn(32, 3, 8, 8) + 0.5)
    return network.eval()


@pytest.fixture
def support() -> Support:
    torch.manual_seed(1)
    return Support(x=torch.randn(12, 3, 8, 8), y=torch.arange(12) % 5, seed=3)


def _loss(network: nn.Module, support: Support) -> float:
    with torch.no_grad():
        return F.cross_entropy(network(support.x), support.y).item()


@pytest.mark.parametrize("structured", [True, False])
@pytest.mark.parametrize("rate", [0.005, 0.05])
def test_delta_is_exactly_what_was_learnt(network: nn.Module, support: Support, rate: float, structured: bool):
    before = copy.deepcopy(network.state_dict())
    tuned, delta, samples = learn_delta(
        network, support, TASKS["classification"], DiffSettings(), rate=rate, structured=structured
    )
    size = sum(parameter.numel() for parameter in network.parameters())
    assert delta.count == round(rate * size)
    assert samples == (DiffSettings().steps + DiffSettings().fixed_steps) * 12
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert delta.base_sha256 == base_sha256(network)
    for name, parameter in network.named_parameters():
        expected = parameter.detach().clone().view(-1)
        if name in delta.positions:
            expected[delta.positions[name]] += delta.values[name]
        assert torch.equal(tuned.get_parameter(name).view(-1), expected)
    for name, buffer in network.named_buffers():
        assert torch.equal(tuned.get_buffer(name), buffer)
    assert _loss(tuned, support) < _loss(network, support)


def test_rates_share_their_first_stage(network: nn.Module, support: Support, monkeypatch: pytest.MonkeyPatch):
    stages: list[object] = []
    first = diff._relaxed
    monkeypatch.setattr(diff, "_relaxed", lambda *arguments: stages.append(arguments) or first(*arguments))
    rates, once = (0.005, 0.05, 0.1), TimedCache()
    shared = [
        learn_delta(
            network, support, TASKS["classification"], DiffSettings(rates=rates), rate=r, structured=True, once=once
        )[1]
        for r in rates
    ]
    assert len(stages) == 1
    alone = [
        learn_delta(network, support, TASKS["classification"], DiffSettings(), rate=rate, structured=True)[1]
        for rate in rates
    ]
    assert len(stages) == 4
    for one, other in zip(shared, alone, strict=True):
        assert all(torch.equal(one.values[name], value) for name, value in other.values.items())
    learn_delta(network, support, TASKS["classification"], DiffSettings(steps=3), rate=0.05, structured=True, once=once)
    learn_delta(network, support, TASKS["classification"], DiffSettings(), rate=0.05, structured=False, once=once)
    assert len(stages) == 6


def test_learning_rate_decays_to_the_last_step(network: nn.Module, support: Support):
    """After one step of the second stage, at the full rate, the next of two moves half as far, by Adam's sign."""
    moved: list[Tensor] = []
    for steps in (1, 2):
        diff = DiffSettings(steps=1, gates_way=1e-9, learning_rate=1e-9, fixed_steps=steps, fixed_learning_rate=1e-4)
        _, delta, _ = learn_delta(network, support, TASKS["classification"], diff, rate=0.05, structured=True)
        moved.append(torch.cat([*delta.values.values()]).abs())
    assert moved[0].median().item() == pytest.approx(1e-4, rel=1e-3)
    assert moved[1].median().item() == pytest.approx(1.5e-4, rel=1e-2)


@pytest.mark.parametrize("structured", [True, False])
def test_gates_choose_and_not_magnitudes_alone(network: nn.Module, support: Support, structured: bool):
    def chosen(diff: DiffSettings) -> set[tuple[str, int]]:
        _, delta, _ = learn_delta(network, support, TASKS["classification"], diff, rate=0.05, structured=structured)
        return {(name, place) for name, places in delta.positions.items() for place in places.tolist()}

    default, by_magnitude, unpriced = (
        chosen(diff) for diff in (DiffSettings(), DiffSettings(gates_way=1e-6), DiffSettings(penalty=0))
    )
    assert len(default & by_magnitude) < 0.9 * len(default)
    assert default != unpriced, "what a difference costs has a say"

import copy
from functools import cache

import numpy as np
import pytest
import torch
from backbone_structures import Case, case_id, named_cases, walked
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_backbones import small
from torch.utils.flop_counter import FlopCounterMode

from pppl.backbones import Backbone, ShapeSpec, artifact_bytes, build, hook_groups, slice_network, spec_for
from pppl.gating import GatedNetwork
from pppl.gating.gate import apply_gate
from pppl.pruning import CostModel, budget_masks, masks_within, threshold_masks
from pppl.system.errors import UserError

VARIANTS = [
    ("convnet", {}, (3, 9, 7)),
    ("convnet", {}, (2, 13)),
    ("resnet20", {"width": 4, "shortcut": "B"}, (3, 9, 7)),
    ("res15_narrow", {"width": 5, "pool": (2, 2)}, (1, 13, 10)),
    ("bc_resnet", {"scale": 0.5, "sub_bands": 2}, (3, 8, 64)),
]
NAMED = named_cases()
WALKED = walked(NAMED)
# Structures, and variants of theirs; the other names are longer or wider, and slow tests walk them, too.
every_backbone = pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case_id(case), marks=[] if case in WALKED else pytest.mark.slow) for case in NAMED]
    + [pytest.param(case, id=case_id(case) + f"-{len(case[2])}d") for case in VARIANTS],
)


def _network(name: str, shape: tuple[int, ...]) -> Backbone:
    return _made((name, {}, shape))


def _made(case: Case) -> Backbone:
    return copy.deepcopy(_original(case[0], tuple(case[1].items()), case[2]))


@cache
def _original(name: str, options: tuple, shape: tuple[int, ...]) -> Backbone:
    torch.manual_seed(0)
    network = build(spec_for(name, dict(options), shape, num_outputs=5))
    for module in network.modules():
        if module.__class__.__name__ in ("BatchNorm1d", "BatchNorm2d", "SubSpectralNorm") and module.weight is not None:
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)  # type: ignore[arg-type]
            torch.nn.init.normal_(module.bias)  # type: ignore[arg-type]  # a masked channel must not leave its beta
    network.train()
    for _ in range(2):
        network(torch.randn(8, *shape))  # batch statistics that are not those of a new network
    return network.eval()


def _random_masks(network: Backbone, seed: int, density: float) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    masks = [torch.rand(width, generator=generator) < density for width in network.widths]
    for mask in masks:
        mask[torch.randint(len(mask), (1,), generator=generator)] = True
    return masks


@every_backbone
@settings(max_examples=4, deadline=None, derandomize=True)
@example(seed=0, density=0.0)  # one channel in every group
@example(seed=1, density=1.0)  # all
@example(seed=2, density=0.5)
@given(seed=st.integers(0, 10_000), density=st.floats(0, 1))
def test_masked_equals_sliced(case: Case, seed: int, density: float):
    network, shape = _made(case), case[2]
    masks = _random_masks(network, seed, density)
    x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(seed))
    sliced = slice_network(network, masks)
    with torch.no_grad(), hook_groups(network, after=lambda i, out: apply_gate(out, masks[i].float())):
        masked = network(x)
    with torch.no_grad():
        torch.testing.assert_close(sliced(x), masked, atol=1e-5, rtol=1e-5)


@every_backbone
def test_macs_are_half_the_flop_counter_and_params_are_counted(case: Case):
    network, shape = _made(case), case[2]
    cost = CostModel(network, shape)
    for masks in (
        _random_masks(network, 0, 0.5),
        _random_masks(network, 1, 0.1),
        [torch.ones(w) > 0 for w in network.widths],
    ):
        sliced = slice_network(network, masks)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            sliced(torch.zeros(1, *shape))
        assert cost(sliced.widths).macs * 2 == counter.get_total_flops()
        assert cost(sliced.widths).params == sum(parameter.numel() for parameter in sliced.parameters())


@every_backbone
def test_a_sliced_network_is_rebuilt_from_its_spec_and_state(case: Case):
    network, shape = _made(case), case[2]
    before = copy.deepcopy(network.state_dict())
    sliced = slice_network(network, _random_masks(network, 0, 0.4))
    rebuilt = build(ShapeSpec.from_json(sliced.spec.to_json()))
    rebuilt.load_state_dict(sliced.state_dict())
    x = torch.randn(3, *shape)
    torch.testing.assert_close(rebuilt.eval()(x), sliced(x), rtol=0, atol=0)
    assert str(rebuilt) == str(sliced), "layers state the same numbers of channels"
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)
    assert artifact_bytes(sliced) < artifact_bytes(network)


@every_backbone
def test_every_backbone_is_gated(case: Case):
    network, shape = GatedNetwork(_made(case)).train(), case[2]
    x = torch.randn(4, *shape)
    output = network(x)
    assert [gate.shape for gate in output.gates] == [(4, width) for width in network.backbone.widths]
    (output.logits.square().sum() + sum(gate.mean() for gate in output.gates)).backward()
    for gate in network.gates:
        assert gate.logits.bias.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in network.backbone.parameters())
    network.eval()
    with torch.no_grad():
        for a, b in zip(network.decide(x), network(x).gate_logits, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_slicing_twice_is_slicing_once():
    network = _made(("bc_resnet", *small("bc_resnet")))
    first = _random_masks(network, 0, 0.8)
    smaller = slice_network(network, first)
    second = _random_masks(smaller, 1, 0.6)
    both = [mask.clone().masked_scatter(mask, kept) for mask, kept in zip(first, second, strict=True)]
    once, twice = slice_network(network, both), slice_network(smaller, second)
    assert once.spec == twice.spec
    for key, value in once.state_dict().items():
        torch.testing.assert_close(twice.state_dict()[key], value, rtol=0, atol=0)


def test_a_sliced_network_shares_nothing_with_the_original():
    network = _network("convnet", (1, 8, 8))
    before = copy.deepcopy(network.state_dict())
    sliced = slice_network(network, [torch.ones(w) > 0 for w in network.widths])
    with torch.no_grad():
        for parameter in sliced.parameters():
            parameter.add_(1)
    sliced.train()(torch.randn(8, 1, 8, 8))
    sliced.head.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)
    assert not network.training
    assert not network.head._forward_hooks  # type: ignore[union-attr]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    budget=st.floats(0.02, 1),
    unit=st.sampled_from(["macs", "params"]),
    round_to=st.sampled_from([1, 3, 4]),
)
def test_a_budget_is_never_exceeded_and_never_wasted(seed: int, budget: float, unit: str, round_to: int):
    network = _network("convnet", (1, 8, 8))
    cost = CostModel(network, (1, 8, 8))
    generator = torch.Generator().manual_seed(seed)
    scores = [torch.rand(width, generator=generator) for width in network.widths]
    masks = budget_masks(scores, cost, budget, unit=unit, round_to=round_to)
    widths = [int(mask.sum()) for mask in masks]
    assert cost.fraction(widths, unit) <= budget
    for mask, score, full in zip(masks, scores, network.widths, strict=True):
        assert mask.sum() == full or mask.sum() % round_to == 0
        assert mask.sum() >= 1
        if not mask.all():
            assert score[mask].min() > score[~mask].max(), "a layer keeps its best channels"
    if round_to == 1 and not all(mask.all() for mask in masks):
        # The next channel in the ranking of the whole network does not fit.
        candidates = [
            (score[~mask].max().item(), i)
            for i, (score, mask) in enumerate(zip(scores, masks, strict=True))
            if not mask.all()
        ]
        widths[max(candidates)[1]] += 1
        assert cost.fraction(widths, unit) > budget


def test_many_people_are_pruned_as_each_of_them_alone():
    network = _network("convnet", (1, 8, 8))
    cost = CostModel(network, (1, 8, 8))
    scores, budgets = torch.rand(20, sum(network.widths)).round(decimals=1), np.linspace(0.02, 1, 20)  # with ties
    scores[0, 5] = -torch.inf
    for round_to in (1, 4):
        masks, cuts = masks_within(scores, network.widths, cost, budgets, round_to=round_to)
        for own, mask, budget in zip(scores, masks, budgets, strict=True):
            alone = budget_masks(own.split(network.widths), cost, float(budget), round_to=round_to)
            assert torch.equal(torch.cat(alone), mask)
    scores = torch.rand(3, sum(network.widths)).sort(1).values
    masks, cuts = masks_within(scores, network.widths, cost, np.array([0.2, 0.5, 1.0]))
    for own, mask, cut in zip(scores, masks, cuts, strict=True):
        several = [part.sum() > 1 for part in mask.split(network.widths)]
        kept = torch.cat([part & many for part, many in zip(mask.split(network.widths), several, strict=True)])
        assert (own[kept] >= cut).all(), "but for channels that a layer cannot do without"
        assert (own[~mask] <= cut).all()
    with pytest.raises(UserError, match=r"budget 0\.0001 is too small"):
        masks_within(scores, network.widths, cost, np.array([0.2, 0.0001, 0.3]))


def test_a_budget_of_one_keeps_everything():
    network = _network("convnet", (1, 8, 8))
    masks = budget_masks([torch.rand(w) for w in network.widths], CostModel(network, (1, 8, 8)), 1.0)
    assert all(mask.all() for mask in masks)


def test_a_budget_too_small_says_which_is_possible():
    network = _network("convnet", (1, 8, 8))
    cost = CostModel(network, (1, 8, 8))
    scores = [torch.rand(w) for w in network.widths]
    with pytest.raises(
        UserError, match=r"budget 0\.0001 is too small.*1 channel per layer.*the least possible budget is"
    ) as error:
        budget_masks(scores, cost, 0.0001)
    least = float(str(error.value).rsplit(" ", 1)[1])
    assert [int(mask.sum()) for mask in budget_masks(scores, cost, least)] == [1] * len(scores)


def test_a_threshold_keeps_at_least_the_best():
    masks = threshold_masks([torch.tensor([0.4, 0.5, 0.9]), torch.tensor([0.1, 0.3, 0.2])])
    assert [mask.tolist() for mask in masks] == [[False, True, True], [False, True, False]]


def test_unknown_backbones_and_options_are_named():
    with pytest.raises(UserError, match=r"unknown backbone 'convnt': did you mean 'convnet'\?"):
        build(spec_for("convnt", {}, (1, 8, 8), 3))
    with pytest.raises(UserError, match=r"unknown option of backbone convnet 'width': did you mean 'widths'\?"):
        build(spec_for("convnet", {"width": (4,)}, (1, 8, 8), 3))
    with pytest.raises(UserError, match="backbone convnet refuses"):
        build(spec_for("convnet", {"widths": 3}, (1, 8, 8), 3))

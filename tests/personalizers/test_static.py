from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pppl import Experiment
from pppl.backbones import build, spec_for
from pppl.data import Support
from pppl.personalizers import GlobalModel, make_personalizers
from pppl.personalizers.scores import ScorePruner
from pppl.personalizers.static import CRITERIA
from pppl.pruning import CostModel
from pppl.system.errors import UserError
from pppl.tasks import TASKS

NOBODY = Support(x=torch.zeros(1, 3, 8, 8), y=torch.zeros(1, dtype=torch.long))


def _samples(seed: int) -> Support:
    generator = torch.Generator().manual_seed(seed)
    return Support(x=torch.randn(9, 3, 8, 8, generator=generator), y=torch.arange(9) % 4)


@pytest.fixture(scope="module")
def network() -> GlobalModel:
    torch.manual_seed(0)
    full = build(spec_for("convnet", {"widths": (5, 6, 7)}, (3, 8, 8), 4)).eval()
    for parameter in full.parameters():
        parameter.data.uniform_(-1, 1)
    return GlobalModel(
        task=TASKS["classification"], full=full, gated={}, cost=CostModel(full, (3, 8, 8)), train=_samples(1)
    )


def _scores(model: GlobalModel, method: str, support: Support = NOBODY) -> list[Tensor]:
    (personalizer,) = make_personalizers(Experiment().replace(methods=[method]))
    assert isinstance(personalizer, ScorePruner)
    return personalizer.scores(model, support, lambda _: [])


def _filters(model: GlobalModel) -> list[Tensor]:
    return [model.full.get_parameter(f"{group.producer}.weight").detach().flatten(1) for group in model.full.groups]


def test_criteria_are_what_their_papers_define(network: GlobalModel):
    modules = [network.full.get_submodule(path) for group in network.full.groups for path in group.followers]
    scales = [module.weight.detach().abs() for module in modules if isinstance(module, nn.BatchNorm2d)]
    expected = {
        "l1": [w.abs().sum(1) for w in _filters(network)],
        "l2": [w.square().sum(1) for w in _filters(network)],
        "bn_scale": scales,
        "fpgm": [torch.stack([sum((a - b).norm() for b in w) for a in w]) for w in _filters(network)],
    }
    for method, scores in expected.items():
        for score, raw in zip(_scores(network, method), scores, strict=True):
            torch.testing.assert_close(score, raw / raw.mean(), atol=1e-5, rtol=1e-5)


def test_lamp_is_the_share_among_those_that_are_not_less(network: GlobalModel):
    for score in _scores(network, "lamp"):
        order = score.argsort(descending=True)
        assert score[order[0]] == pytest.approx(1)  # the largest is alone
        # From the shares follow the scores up to a factor, and from those the shares.
        rest, raw = torch.tensor(1.0), []
        for share in score[order].flip(0)[:-1]:
            raw.append(rest * share)
            rest = rest * (1 - share)
        raw.append(rest)
        ascending = torch.stack(raw)
        assert (ascending.diff() > -1e-6).all()
        torch.testing.assert_close(ascending.sum(), torch.tensor(1.0))


def _gradients(model: GlobalModel, samples: Support) -> list[list[Tensor]]:
    """Every sample's gradients, one backward pass each."""
    parameters = list(model.full.parameters())
    losses = (F.cross_entropy(model.full(x[None]), y[None]) for x, y in zip(samples.x, samples.y, strict=True))
    return [list(torch.autograd.grad(loss, parameters)) for loss in losses]


def _by_filter(model: GlobalModel, each: dict[str, Tensor]) -> list[Tensor]:
    """Sums over all weights that belong to a channel: its filter's, and those that read it."""
    scores = []
    for group in model.full.groups:
        parts = [each[f"{group.producer}.weight"].flatten(1).sum(1)]
        parts += [each[f"{path}.weight"].transpose(0, 1).flatten(1).sum(1) for path in group.consumers]
        scores.append(torch.stack(parts).mean(0))
    return scores


@pytest.mark.parametrize("method", ["taylor", "taylor_support"])
def test_taylor_is_what_leaving_a_weight_out_costs_to_first_order(network: GlobalModel, method: str):
    support = _samples(2)
    samples = support if method.endswith("support") else network.train
    means = [torch.stack(each).mean(0) for each in zip(*_gradients(network, samples), strict=True)]
    named = network.full.named_parameters()
    each = {name: (w.detach() * g).abs() for (name, w), g in zip(named, means, strict=True)}
    for score, raw in zip(_scores(network, method, support), _by_filter(network, each), strict=True):
        torch.testing.assert_close(score, raw / raw.mean(), atol=1e-5, rtol=1e-4)
    assert all(parameter.grad is None for parameter in network.full.parameters())


@pytest.mark.parametrize("method", ["hessian", "hessian_support"])
def test_the_hessians_diagonal_is_of_all_samples(network: GlobalModel, method: str):
    support = _samples(2)
    samples = support if method.endswith("support") else network.train
    squares = [torch.stack(each).square().mean(0) for each in zip(*_gradients(network, samples), strict=True)]
    named = list(network.full.named_parameters())
    each = {name: w.detach().square() * h for (name, w), h in zip(named, squares, strict=True)}
    for group, score, raw in zip(
        network.full.groups, _scores(network, method, support), _by_filter(network, each), strict=True
    ):
        scales = [each[f"{path}.weight"] for path in group.followers if f"{path}.weight" in each]
        parts = 1 + len(group.consumers)
        whole = (raw * parts + torch.stack(scales).sum(0)) / (parts + len(scales))
        torch.testing.assert_close(score, whole / whole.mean(), atol=1e-5, rtol=1e-4)


def test_scores_of_samples_are_computed_once_and_their_time_is_told(network: GlobalModel):
    support = _samples(3)
    (personalizer,) = make_personalizers(Experiment().replace(methods=["hessian_support"]))
    first = personalizer.personalize(network, support, 0.4)
    assert support.once.spared == 0
    again = personalizer.personalize(network, support, 0.7)
    assert 0 < support.once.spared <= again.seconds
    assert first.masks is not None
    assert again.masks is not None
    assert all(bool((b | ~a).all()) for a, b in zip(first.masks, again.masks, strict=True)), "of the same scores"


def test_a_method_can_have_its_own_number_of_training_samples(network: GlobalModel):
    (own,) = make_personalizers(Experiment().replace(methods=["taylor"], settings={"taylor": {"static.samples": 4}}))
    (usual,) = make_personalizers(Experiment().replace(**{"methods": ["taylor"], "static.samples": 4}))
    (all_,) = make_personalizers(Experiment().replace(methods=["taylor"]))
    few = Support(x=network.train.x[:4], y=network.train.y[:4])
    scores = [
        each.scores(replace(network, train=train), NOBODY, lambda _: [])
        for each, train in ((own, network.train), (usual, network.train), (usual, few), (all_, network.train))
        if isinstance(each, ScorePruner)
    ]
    for mine, peer, alone, whole in zip(*scores, strict=True):
        assert torch.equal(mine, peer)
        assert torch.equal(mine, alone)
        assert not torch.equal(mine, whole)


def test_local_pruning_takes_the_same_fraction_of_every_layer(network: GlobalModel):
    for name in CRITERIA:
        (personalizer,) = make_personalizers(Experiment().replace(methods=[f"{name}_local"]))
        masks = personalizer.personalize(network, NOBODY, 0.4).masks
        assert masks is not None
        fractions = [mask.float().mean().item() for mask in masks]
        assert max(fractions) - min(fractions) < 1 / 5
        for mask, score in zip(masks, _scores(network, name), strict=True):
            assert mask.all() or score[mask].min() >= score[~mask].max()


def test_isomorphic_pruning_compares_layers_of_one_structure_only():
    torch.manual_seed(0)
    full = build(spec_for("ds_cnn_s", {"width": 8}, (1, 13, 9), 4)).eval()
    model = GlobalModel(
        task=TASKS["classification"], full=full, gated={}, cost=CostModel(full, (1, 13, 9)), train=NOBODY
    )
    plain, ranks = _scores(model, "l1"), _scores(model, "l1_isomorphic")
    kinds = [
        tuple(type(full.get_submodule(path)) for path in (group.producer, *group.followers, *group.consumers))
        for group in full.groups
    ]
    for kind in set(kinds):
        alike = [i for i, other in enumerate(kinds) if other == kind]
        together = torch.cat([plain[i] for i in alike])
        ranked = torch.cat([ranks[i] for i in alike])
        assert torch.equal(together.argsort(), ranked.argsort())
        torch.testing.assert_close(ranked.sort().values, torch.arange(1, len(ranked) + 1) / len(ranked))


def test_every_static_method_meets_the_budget_within_one_channel(network: GlobalModel):
    for name in CRITERIA:
        (personalizer,) = make_personalizers(Experiment().replace(methods=[name]))
        for budget in (0.15, 0.4, 0.75):
            made = personalizer.personalize(network, NOBODY, budget)
            widths = made.module.widths
            more = [
                network.cost.fraction([w + (i == at) for i, w in enumerate(widths)])
                for at, (w, full) in enumerate(zip(widths, network.full.widths, strict=True))
                if w < full
            ]
            assert made.cost.macs <= budget * network.cost.full.macs
            assert max(more) > budget


def test_a_random_network_is_the_same_for_everybody(network: GlobalModel):
    first, again = _scores(network, "random"), _scores(network, "random")
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_backbone_that_a_method_cannot_score_is_told_before_training():
    full = build(spec_for("res8", {"width": 5, "pool": (2, 2)}, (1, 13, 10), 4))
    for method in ("bn_scale", "bn_scale_local"):
        (personalizer,) = make_personalizers(Experiment().replace(methods=[method], budgets=[0.9]))
        with pytest.raises(UserError, match=f"method {method} cannot be used: .* of backbone res8; leave it out"):
            personalizer.check(full, CostModel(full, (1, 13, 10)))

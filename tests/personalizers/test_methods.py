from dataclasses import replace
from typing import cast

import pytest
import torch

from pppl import Experiment
from pppl.backbones import artifact_bytes, hook_groups
from pppl.config.sections import name_of
from pppl.data import IdentityDataset, Support
from pppl.gating import prototype
from pppl.personalizers import (
    METHODS,
    STEPS,
    GlobalModel,
    Personalizer,
    RetrainedNetwork,
    make_own_personalizer,
    make_personalizers,
)
from pppl.personalizers.methods import with_controls
from pppl.personalizers.scores import relative, uniform
from pppl.pruning import budget_masks
from pppl.system.errors import UserError

# Each step behind a method that prunes by gates, behind one that does without, and behind another step.
# `+retrain` is for networks that everybody shares.
_STEPS = [f"{method}+{step}" for method in ("ppp", "l1_local") for step in STEPS]
ALL = [*sorted(METHODS), *_STEPS, "ocap+bn+finetune", "l1+quant+finetune"]
ALL.remove("ppp+retrain")


@pytest.fixture
def support(digits: IdentityDataset) -> Support:
    rows = digits.rows(0)[:12]
    return Support(x=digits.x[rows], y=digits.y[rows], seed=3)


def _all(experiment: Experiment) -> list[Personalizer]:
    return make_personalizers(experiment.replace(methods=ALL))


def _one(experiment: Experiment, method: str, control: str = "") -> Personalizer:
    return next(p for p in make_personalizers(experiment.replace(methods=[method])) if p.control == control)


@pytest.fixture
def model(model: GlobalModel) -> GlobalModel:
    """The shared one, retraining nothing."""
    return replace(model, retrain=lambda network, _: RetrainedNetwork(network, 0.5))


def test_every_method_keeps_to_the_budget_and_gives_plain_modules(
    tiny: Experiment, model: GlobalModel, support: Support
):
    for personalizer in _all(tiny):
        budget = 0.3 if personalizer.prunes else 1.0
        personal = personalizer.personalize(model, support, budget)
        method = personalizer.method
        assert personal.cost.macs <= budget * model.cost.full.macs
        if "basis" not in method and "dynamic" not in method:
            assert personal.cost == model.cost(personal.module.widths)
        if "dynamic" not in method:
            assert not [name for name, _ in personal.module.named_modules() if "gate" in name]
        of_whole = method in ("diff", "diff_elementwise")
        assert (personal.delta is not None) == (of_whole or (method.endswith("+diff") and personal.masks is not None))
        if method.endswith("+quant"):
            assert personal.bytes < artifact_bytes(personal.module)
        else:
            assert (personal.bytes >= 4 * personal.cost.params) == (not of_whole)
        assert personal.retrain_samples == personalizer.steps * len(support.x)
        with torch.no_grad():
            assert personal.module(support.x).shape == (12, 10)


def test_who_reads_no_labels_says_so(tiny: Experiment, model: GlobalModel, support: Support):
    unlabelled = Support(x=support.x, y=torch.full_like(support.y, -1), seed=support.seed)
    for personalizer in _all(tiny):
        if personalizer.reads_labels:
            continue
        with_labels = personalizer.personalize(model, support, 0.4).module.state_dict()
        without = personalizer.personalize(model, unlabelled, 0.4).module.state_dict()
        assert all(torch.equal(with_labels[key], without[key]) for key in with_labels)


def test_ppp_slices_by_the_prototype(tiny: Experiment, model: GlobalModel, support: Support):
    personal = _one(tiny, "ppp", "own").personalize(model, support, 0.3)
    expected = budget_masks(prototype(model.gated["ppp"], support.x), model.cost, 0.3)
    assert personal.masks is not None
    assert all(torch.equal(a, b) for a, b in zip(personal.masks, expected, strict=True))
    with torch.no_grad():
        masked = model.gated["ppp"](support.x, [mask.float() for mask in expected]).logits
        torch.testing.assert_close(personal.module(support.x), masked, atol=1e-5, rtol=1e-5)


def test_the_threshold_rule_needs_no_budget(tiny: Experiment, model: GlobalModel, support: Support):
    personal = _one(tiny, "ppp", "own").personalize(model, support)
    probabilities = prototype(model.gated["ppp"], support.x)
    assert personal.masks is not None
    for mask, values in zip(personal.masks, probabilities, strict=True):
        assert mask.sum() == max(1, (values >= 0.5).sum())
    with pytest.raises(UserError, match="l1 cannot choose a size by itself: give a budget"):
        _one(tiny, "l1").personalize(model, support)
    with pytest.raises(UserError, match="give a budget"):
        _one(tiny, "ppp", "random").personalize(model, support)


def test_a_random_mask_costs_the_same_and_follows_its_seed(tiny: Experiment, model: GlobalModel, support: Support):
    random = _one(tiny, "ppp", "random")
    first, again = (random.personalize(model, support, 0.4) for _ in range(2))
    other = random.personalize(model, Support(x=support.x, y=support.y, seed=4), 0.4)
    assert first.masks is not None
    assert again.masks is not None
    assert other.masks is not None
    assert all(torch.equal(a, b) for a, b in zip(first.masks, again.masks, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.masks, other.masks, strict=True))
    assert 0.3 < first.cost.macs / model.cost.full.macs <= 0.4


def test_sequential_and_rounding_are_options(tiny: Experiment, model: GlobalModel, support: Support):
    experiment = tiny.replace(**{"ppp.prototypes": "sequential", "pruning.round_to": 4, "pruning.unit": "params"})
    personal = _one(experiment, "ppp", "own").personalize(model, support, 0.5)
    assert all(width % 4 == 0 for width in personal.module.widths)
    assert personal.cost.params <= 0.5 * model.cost.full.params


def test_ocap_ranks_activations_and_l1_ranks_filters(tiny: Experiment, model: GlobalModel, support: Support):
    norms: list[torch.Tensor] = []
    with (
        torch.no_grad(),
        hook_groups(model.full, after=lambda _, out: norms.append(out.square().sum((0, 2, 3)).sqrt())),
    ):
        model.full(support.x)
    filters = [layer.conv.weight.detach().abs().sum((1, 2, 3)) for layer in model.full.layers]  # type: ignore[union-attr]
    for method, scores in (("ocap", norms), ("l1", filters)):
        masks = _one(tiny, method).personalize(model, support, 0.3).masks
        assert masks is not None
        for mask, score in zip(masks, scores, strict=True):
            assert mask.all() or score[mask].min() >= score[~mask].max()


def test_ocap_can_count_votes(tiny: Experiment, model: GlobalModel, support: Support):
    norms: list[torch.Tensor] = []
    with torch.no_grad(), hook_groups(model.full, after=lambda _, out: norms.append(out.square().sum((2, 3)).sqrt())):
        model.full(support.x)
    masks = _one(tiny.replace(**{"ocap.top": 0.25}), "ocap_frequency").personalize(model, support, 0.3).masks
    assert masks is not None
    for mask, norm in zip(masks, norms, strict=True):
        top = -(-norm.shape[1] // 4)
        least = norm.sort(descending=True).values[:, top - 1, None]
        votes = (norm >= least).int().sum(0)
        assert int(votes.sum()) == top * len(norm)
        kept = int(mask.sum())
        # The most votes; of equal ones, the larger norm.
        order = sorted(range(len(mask)), key=lambda c: (-int(votes[c]), -float(norm[:, c].norm())))
        assert set(mask.nonzero().flatten().tolist()) == set(order[:kept])


def test_scores_of_layers_are_made_comparable():
    scores = [torch.tensor([1.0, 3.0]), torch.tensor([30.0, 10.0, 20.0, 60.0])]
    assert [s.tolist() for s in relative(scores)] == [
        [0.5, 1.5],
        [1.0, pytest.approx(1 / 3), pytest.approx(2 / 3), 2.0],
    ]
    assert [s.tolist() for s in uniform(scores)] == [[0.5, 1.0], [0.75, 0.25, 0.5, 1.0]]


@pytest.mark.parametrize("budget", [0.0, -1.0, 1.5])
def test_a_budget_outside_its_range(tiny: Experiment, model: GlobalModel, support: Support, budget: float):
    with pytest.raises(UserError, match=r"it is a fraction in \(0, 1\]"):
        _one(tiny, "ppp", "own").personalize(model, support, budget)


def test_an_unknown_method_names_the_nearest(tiny: Experiment):
    with pytest.raises(UserError, match=r"unknown method 'ocpa': did you mean 'ocap'\?"):
        make_personalizers(tiny.replace(methods=["ocpa"]))
    with pytest.raises(UserError, match=r"unknown step of method ocap\+bm 'bm': did you mean 'bn'\?"):
        make_personalizers(tiny.replace(methods=["ocap+bm"]))


def test_steps_follow_each_other(tiny: Experiment, model: GlobalModel, support: Support):
    (both,) = make_personalizers(tiny.replace(methods=["l1_local+finetune+diff"]))
    (one,) = make_personalizers(tiny.replace(methods=["l1_local+finetune"]))
    made, before = (each.personalize(model, support, 0.4) for each in (both, one))
    assert made.retrain_samples > before.retrain_samples > 0
    assert made.masks is not None
    assert before.masks is not None
    assert all(torch.equal(a, b) for a, b in zip(made.masks, before.masks, strict=True))
    differ = sum(int((a != b).sum()) for a, b in zip(made.module.parameters(), before.module.parameters(), strict=True))
    assert 0 < differ <= 0.005 * made.cost.params + 1


def test_a_difference_to_a_network_of_ones_own_is_no_file(tiny: Experiment, model: GlobalModel, support: Support):
    for method, sent in (("diff", True), ("full+diff", True), ("finetune+diff", False), ("full+bn+diff", False)):
        (personalizer,) = make_personalizers(tiny.replace(methods=[method]))
        assert (personalizer.personalize(model, support).delta is not None) == sent, method


class _Seen:
    """An experiment that notes which of its sections are read."""

    def __init__(self, experiment: Experiment):
        self._experiment, self.read = experiment, set[str]()

    def __getattr__(self, name: str):
        self.read.add(name)
        return getattr(self._experiment, name)

    def __getitem__(self, kind: type):
        self.read.add(name_of(kind))
        return self._experiment[kind]


def test_settings_can_be_a_methods_own(tiny: Experiment):
    own = {"ppp+diff": {"diff.fixed_steps": 7}, "ocap+finetune": {"finetune.pruned_steps": 1}}
    experiment = tiny.replace(methods=["diff", "ppp+diff", "ppp+diff+finetune", "finetune"], settings=own)
    steps = {each.method: each.steps for each in make_personalizers(experiment)}
    usual, after = tiny.diff.steps, tiny.finetune.pruned_steps
    assert steps == {
        "diff": usual + tiny.diff.fixed_steps,
        "ppp+diff": usual + 7,
        "ppp+diff+finetune": usual + 7 + after,
        "finetune": tiny.finetune.steps,
    }
    told = {each.method: each.depends_on()["diff"]["fixed_steps"] for each in make_personalizers(experiment)[:2]}
    assert told == {"diff": tiny.diff.fixed_steps, "ppp+diff": 7}
    of_ocap = {"ocap": {"budgets": [0.5, 0.7]}, "ppp": {"budgets": [0.9]}}  # ppp is not compared
    few = make_personalizers(tiny.replace(methods=["ocap", "l1"], settings=of_ocap))
    assert {each.method: each.budgets for each in few} == {"ocap": (0.5,), "l1": tiny.budgets}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ppq": {"finetune.steps": 3}}, "unknown method 'ppq'"),
        ({"finetune": {"finetune.step": 3}}, r"unknown key 'finetune\.step'"),
        (
            {"ppp": {"ppp.target_rate": 0.1}},
            r"method ppp hold ppp\.target_rate: a method can have its own budgets and sections ",
        ),
        ({"ppp": {"budgets": 0.2}}, r"hold budgets 0\.2: write a list"),
        ({"ppp": {"budgets": [0.3]}}, r"hold budgets \[0\.3\]: choose from the experiment's, 0\.2, 0\.5"),
        ({"finetune": {"budgets": [0.2]}}, "settings of method finetune hold budgets: it does not prune; leave them"),
        ({"finetune": {"finetune.steps": 0}}, r"finetune\.steps is 0: at least 1"),
        ({"l7@mine": {"static.samples": 3}}, "unknown method 'l7@mine'"),
        ({"ppp@../x": {"ppp.target_rate": 0.1}}, r"settings of method ppp@\.\./x hold ppp\.target_rate"),
        ({"ppp@0.05": {}}, r"unknown method 'ppp@0\.05'"),
        (
            {"ppp@a+bn": {"person_training.epochs": 3}},
            r"method ppp@a\+bn hold person_training\.epochs: a method can have its own budgets and sections ",
        ),
        ({"ppp@mine": {"person_training.classes": [2, 2]}}, r"person_training\.classes is \[2, 2\]: name each once"),
        (
            {"ppp@mine": {"persons.count": 3}},
            r"settings of method ppp@mine hold persons\.count: .* sections .*, ppp, person_training",
        ),
        ({"ppp@mine": {"person_training.gate_input": "all"}}, r"person_training\.gate_input"),
        (
            {"ppp@mine": {"person_training.least": 0.7}},
            r"person_training\.least is 0\.7: above 0, below person_training\.most",
        ),
        ({"ppp_dynamic": {"ppp.training": "persons"}}, r"settings of method ppp_dynamic hold ppp\.training"),
    ],
)
def test_settings_that_cannot_be_are_named(tiny: Experiment, settings: dict, message: str):
    with pytest.raises(UserError, match=message):
        make_personalizers(tiny.replace(methods=["ppp", "finetune"], settings=settings))


def test_a_variant_has_gates_and_settings_of_its_own(tiny: Experiment):
    settings = {"ppp@few": {"ppp.target_rate": 0.1}, "ppp@few+bn": {"bn.share": 0.5}}
    settings |= {"gated@few": {"ppp.gate_speed": 2.0}}
    methods = ["ppp", "ppp@few", "gated@few", "ppp@few+bn", "ppp+bn"]
    made = {each.method: each for each in make_personalizers(tiny.replace(methods=methods, settings=settings))}
    rates = {name: each.depends_on()["ppp"]["target_rate"] for name, each in made.items()}
    usual = tiny.ppp.target_rate
    assert rates == {"ppp": usual, "ppp@few": 0.1, "gated@few": usual, "ppp@few+bn": 0.1, "ppp+bn": usual}
    assert [each.gates for each in made.values()] == ["ppp", "ppp@few", "gated@few", "ppp@few", "ppp"]
    assert "prototype_weight" not in made["gated@few"].depends_on()["ppp"]
    with pytest.raises(UserError, match=r"needs gates trained by samples, but ppp\.training is persons: leave"):
        make_personalizers(tiny.replace(methods=["ppp_dynamic"], **{"ppp.training": "persons"}))


@pytest.mark.parametrize(
    ("method", "remedy"),
    [
        ("l1@b", "give it some under settings, or write 'l1'"),
        ("full+bn@b", r"did you mean 'full\+bn@a'\?"),
        ("ppp@fwe+bn", r"did you mean 'ppp@few'\?"),
    ],
)
def test_a_variant_without_settings_is_no_other_method(tiny: Experiment, method: str, remedy: str):
    settings = {"full+bn@a": {"bn.share": 0.3}, "ppp@few": {"ppp.target_rate": 0.1}}
    with pytest.raises(UserError, match=f"has no settings of its own: {remedy}"):
        make_personalizers(tiny.replace(methods=[method], settings=settings))
    overridden = tiny.replace(settings=settings).override({"ppp.target_rate": 0.2, "methods": ["ppp@few"]})
    assert make_personalizers(overridden)[0].method == "ppp@few"


def test_one_method_is_made_beside_counts_of_others(tiny: Experiment):
    """Their settings are ignored with them, and so is what stands behind them."""
    settings, searched = {"ppp@few": {"ppp.target_rate": 0.1}}, {"ppp@few+bn": 3}
    experiment = tiny.replace(methods=["full", "ppp@few"], settings=settings, searched=searched)
    assert make_own_personalizer(experiment, "full").method == "full"
    assert make_own_personalizer(experiment, "ppp@few+bn").method == "ppp@few+bn"


@pytest.mark.parametrize("method", ALL)
def test_a_method_tells_all_the_settings_that_it_reads(
    tiny: Experiment, model: GlobalModel, support: Support, method: str
):
    seen = _Seen(tiny)
    seen.methods = [method]
    for personalizer in make_personalizers(cast(Experiment, seen)):
        seen.read.clear()
        personalizer.personalize(model, support, 0.4 if personalizer.prunes else 1.0)
        assert seen.read <= set(personalizer.depends_on())


def test_controls_of_an_own_method_are_copies_with_others_samples(tiny: Experiment, monkeypatch: pytest.MonkeyPatch):
    first = make_own_personalizer(tiny, "ocap")
    monkeypatch.setitem(METHODS._entries, "mine", lambda _: with_controls(first))
    made = make_personalizers(tiny.replace(methods=["mine", "mine+classes"]))
    names = ["own", "population", "other", "twin", "swap"]
    assert [each.support_from for each in made[:5]] == names
    assert [each.control for each in made] == 2 * names
    assert (first.control, first.support_from) == ("", "own"), "it is not changed itself"


def test_a_control_says_whose_samples_it_is_given(tiny: Experiment, monkeypatch: pytest.MonkeyPatch):
    wrong = make_own_personalizer(tiny, "ocap")
    wrong.control = "twin"
    monkeypatch.setitem(METHODS._entries, "mine", lambda _: [wrong])
    with pytest.raises(UserError, match="method ocap has the control 'twin', but support_from is 'own'"):
        make_personalizers(tiny.replace(methods=["mine"]))

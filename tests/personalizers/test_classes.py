"""The step `+classes`: estimates of the person's prior, the correction, and what it leaves of the classifier."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pppl import Experiment
from pppl.backbones import NEVER, artifact_bytes, build, classifier_of, outputs_of, predict_classes, spec_for
from pppl.data import Support
from pppl.personalizers import GlobalModel, Personalizer, make_personalizers
from pppl.personalizers.class_prior import LEAST_PART, em, mean, told, votes
from pppl.pruning import CostModel
from pppl.system.errors import UserError
from pppl.tasks import TASKS

UNIFORM = torch.ones(2) / 2


def _one(experiment: Experiment, method: str, control: str = "", **settings: object) -> Personalizer:
    made = make_personalizers(experiment.replace(methods=[method], **settings))
    return next(each for each in made if each.control == control)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_votes_are_those_of_a_loop(taken: list[int]):
    probabilities = torch.full((len(taken), 6), 0.1)
    for row, label in enumerate(taken):
        probabilities[row, label] = 0.5
    present = [c for c in range(6) if taken.count(c) >= LEAST_PART * len(taken) / len({*taken})]
    expected = [1 / len(present) if c in present else 0 for c in range(6)]
    np.testing.assert_allclose(votes(probabilities, UNIFORM).numpy(), expected, atol=1e-7)


@pytest.mark.parametrize(("classes", "shots"), [(3, 5), (10, 5), (10, 1), (3, 20), (30, 4)])
def test_votes_keep_all_classes_of_a_person_whatever_their_number_and_drop_single_mistakes(classes: int, shots: int):
    """Once a class needed a tenth of the samples, so that with ten classes one mistake lost a class."""
    taken = [label for label in range(classes) for _ in range(shots)]
    if shots > 1:
        taken[0], taken[shots] = 38, 39  # mistakes
    prior = votes(torch.eye(40)[taken], torch.ones(40) / 40)
    assert prior.nonzero().flatten().tolist() == list(range(classes))


def test_predictions_that_agree_on_nothing_leave_all_classes_as_likely():
    probabilities = torch.eye(20)
    assert votes(probabilities, UNIFORM).tolist() == pytest.approx([1 / 20] * 20)


def test_em_finds_the_maximum_that_a_hand_finds():
    """Q solves 1.8 / (0.1 + 0.8 q) + 0.2 / (0.8 - 0.6 q) = 3, so 1.44 q^2 - 2.66 q + 1.22 = 0 and q = 61 / 72."""
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]])
    prior = em(probabilities, UNIFORM)
    assert prior.tolist() == pytest.approx([61 / 72, 11 / 72], abs=1e-5)
    # Of predictions that assume another prior: the likelihoods are 0.9 / 0.75 to 0.1 / 0.25, which is 3 to 1.
    skewed = em(torch.tensor([[0.9, 0.1], [0.1, 0.9]]), torch.tensor([0.75, 0.25]))
    assert skewed.tolist() == pytest.approx(_em_by_search([3.0, 1 / 27]), abs=1e-3)


def _em_by_search(ratios: list[float]) -> list[float]:
    """The prior under which samples of these likelihood ratios are most likely, among a thousand."""
    grid = np.linspace(0, 1, 100_001)
    likelihood = sum(np.log(ratio * grid + 1 - grid) for ratio in ratios)
    best = float(grid[np.argmax(likelihood)])
    return [best, 1 - best]


def test_the_mean_is_the_mean():
    assert mean(torch.tensor([[0.9, 0.1], [0.5, 0.5]]), UNIFORM).tolist() == pytest.approx([0.7, 0.3])


@pytest.fixture
def support(model: GlobalModel) -> Support:
    """Samples that the full network takes for two of the ten classes."""
    x = model.train.x
    with torch.no_grad():
        taken = model.full(x).argmax(1)
    two = [int(c) for c in torch.bincount(taken, minlength=10).topk(2).indices]
    rows = torch.cat([(taken == c).nonzero().flatten()[:6] for c in two])
    return Support(x=x[rows], y=model.train.y[rows], seed=1)


@pytest.mark.parametrize("rule", ["votes", "mean", "em"])
def test_logits_get_the_log_of_the_priors_ratio(tiny: Experiment, model: GlobalModel, support: Support, rule: str):
    personal = _one(tiny, "full+classes", **{"classes.rule": rule}).personalize(model, support)
    with torch.no_grad():
        before, after = model.full(support.x), personal.module(support.x)
    found = personal.classes
    assert found is not None
    assert float(found.prior.sum()) == pytest.approx(1)
    expected = torch.where(found.prior > 0, (found.prior / 0.1).log(), NEVER)
    torch.testing.assert_close(after - before, expected.expand_as(before), atol=1e-3, rtol=1e-4)
    assert personal.retrain_samples == 0
    assert personal.bytes == {"votes": 2}.get(rule, 40)
    assert personal.module.spec == model.full.spec


def test_told_classes_are_those_of_the_labels_and_count_as_labels(
    tiny: Experiment, model: GlobalModel, support: Support
):
    step = _one(tiny, "full+classes", **{"classes.rule": "told"})
    assert step.reads_labels
    assert not _one(tiny, "full+classes").reads_labels
    personal = step.personalize(model, support)
    labels = sorted(set(support.y.tolist()))
    assert personal.classes is not None
    assert personal.classes.prior.nonzero().flatten().tolist() == labels
    assert personal.classes.confidence == 1, "nothing is estimated"
    with torch.no_grad():
        answers = personal.module(support.x).argmax(1)
    assert set(answers.tolist()) <= set(labels)
    assert torch.equal(told(torch.tensor([4, 1, 4]), 5), torch.tensor([0, 0.5, 0, 0, 0.5]))


def test_a_told_training_prior_takes_the_place_of_the_uniform_one(
    tiny: Experiment, model: GlobalModel, support: Support
):
    told = [0.19, *[0.09] * 9]
    found = _one(tiny, "full+classes", **{"classes.training_prior": told}).personalize(model, support).classes
    assert found is not None
    present = found.prior > 0
    expected = (found.prior / torch.tensor(told)).log()[present]
    torch.testing.assert_close(found.added[present], expected)
    with pytest.raises(UserError, match=r"training_prior holds 2 numbers for 10 classes: give one number per class"):
        _one(tiny, "full+classes", **{"classes.training_prior": [0.5, 0.5]}).check(model.full, model.cost)


def test_classes_that_are_cut_leave_outputs_macs_and_parameters(tiny: Experiment, model: GlobalModel, support: Support):
    whole = _one(tiny, "l1_local+classes").personalize(model, support, 1.0)
    cut = _one(tiny, "l1_local+classes", **{"classes.cut": True}).personalize(model, support, 1.0)
    assert whole.classes is not None
    kept = whole.classes.prior.nonzero().flatten().tolist()
    assert outputs_of(cut.module) == tuple(kept)
    assert 1 < len(kept) < 10
    _, layer = classifier_of(cut.module)
    gone = 10 - len(kept)
    assert whole.cost.macs - cut.cost.macs == gone * layer.in_features
    assert whole.cost.params - cut.cost.params == gone * (layer.in_features + 1)
    assert cut.cost.params == sum(parameter.numel() for parameter in cut.module.parameters())
    assert cut.bytes < whole.bytes
    assert cut.bytes == artifact_bytes(cut.module)
    with torch.no_grad():
        logits, all_logits = cut.module(support.x), whole.module(support.x)
    torch.testing.assert_close(logits, all_logits[:, kept])
    assert predict_classes(cut.module, logits).tolist() == predict_classes(whole.module, all_logits).tolist()
    rebuilt = build(cut.module.spec)
    rebuilt.load_state_dict(cut.module.state_dict())
    with pytest.raises(UserError, match=r"reads labels, but classes\.cut removes classes"):
        make_personalizers(tiny.replace(methods=["full+classes+finetune"], **{"classes.cut": True}))


def test_one_class_is_answered_and_never_cut(tiny: Experiment, model: GlobalModel, support: Support):
    alone = Support(x=support.x[:3], y=support.y[:3])
    cut = _one(tiny, "full+classes", **{"classes.cut": True}).personalize(model, alone)
    assert outputs_of(cut.module) == tuple(range(10))
    with torch.no_grad():
        assert cut.module(model.train.x).argmax(1).unique().numel() == 1


def test_behind_a_control_the_prior_stays_the_persons_own(tiny: Experiment, model: GlobalModel, support: Support):
    tiny = tiny.replace(classes__by="deployed")
    others = Support(x=model.train.x[:9], y=model.train.y[:9], seed=2)
    own = _one(tiny, "ppp+classes", "own").personalize(model, support, 0.5)
    twin = _one(tiny, "ppp+classes", "twin").personalize(model, replace(others, own=support), 0.5)
    of_others = _one(tiny, "ppp", "twin").personalize(model, others, 0.5)
    assert twin.masks is not None
    assert of_others.masks is not None
    assert all(torch.equal(a, b) for a, b in zip(twin.masks, of_others.masks, strict=True)), "the mask is theirs"
    assert own.classes is not None
    assert twin.classes is not None
    with torch.no_grad():
        seen = of_others.module(support.x).softmax(1)
    torch.testing.assert_close(twin.classes.prior, votes(seen, UNIFORM), msg="the prior is the person's")
    controls = {each.control for each in make_personalizers(tiny.replace(methods=["ppp+classes"]))}
    assert controls == {"own", "population", "other", "twin", "swap", "random"}
    population = _one(tiny, "ppp+classes", "population")
    assert not population.shared, "whose prior it is differs"


def test_the_full_network_can_estimate(tiny: Experiment, model: GlobalModel, support: Support):
    by_full = _one(tiny, "l1+classes", **{"classes.by": "full"}).personalize(model, support, 0.2).classes
    full = _one(tiny, "full+classes").personalize(model, support).classes
    assert by_full is not None
    assert full is not None
    torch.testing.assert_close(by_full.prior, full.prior)
    assert by_full.confidence == full.confidence


def test_a_classifier_without_biases_gets_them():
    shape = (1, 49, 40)
    torch.manual_seed(0)
    full = build(spec_for("tc_resnet8", {}, shape, 4)).eval()
    support = Support(x=torch.randn(6, *shape), y=torch.arange(6) % 4)
    model = GlobalModel(task=TASKS["classification"], full=full, gated={}, cost=CostModel(full, shape), train=support)
    personal = _one(Experiment(), "full+classes").personalize(model, support)
    assert personal.classes is not None
    rebuilt = build(personal.module.spec).eval()
    rebuilt.load_state_dict(personal.module.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(rebuilt(support.x), full(support.x) + personal.classes.added)


class _NoClassifier(torch.nn.Module):
    spec = spec_for("convnet", {}, (1, 8, 8), 10)

    @staticmethod
    def linear_layers() -> list[tuple[str, Tensor]]:
        return []


def test_a_network_without_classes_is_refused_by_name(tiny: Experiment, model: GlobalModel):
    with pytest.raises(
        UserError, match=r"full\+classes cannot be used: convnet does not end in a linear layer with 10"
    ):
        _one(tiny, "full+classes").check(_NoClassifier(), model.cost)  # pyright: ignore[reportArgumentType]

"""Steps that adapt without gates: class means, templates, entropy; and channels by class (`capnn`)."""

import pytest
import torch
from torch import nn

from pppl import Experiment
from pppl.backbones import build, classifier_of, spec_for, split_classifier
from pppl.data import Support
from pppl.personalizers import GlobalModel, Personalizer, make_personalizers
from pppl.personalizers.capnn import class_scores, profile
from pppl.personalizers.prototypes import nearest_mean, templates
from pppl.personalizers.tent import affine, entropy
from pppl.system.errors import UserError
from pppl.tasks import TASKS
from pppl.training import finetune


def _one(experiment: Experiment, method: str, **settings: object) -> Personalizer:
    return make_personalizers(experiment.replace(methods=[method], **settings))[0]


@pytest.fixture
def support(model: GlobalModel) -> Support:
    return Support(x=model.train.x[:12], y=model.train.y[:12], seed=3)


def test_the_nearest_mean_wins_as_a_loop_finds_it():
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(15, 4, generator=generator), torch.arange(15) % 3
    weight, bias = nearest_mean(features, labels, 5)  # two classes have no sample
    means = torch.stack([features[labels == c].mean(0) for c in range(3)])
    for x in torch.randn(50, 4, generator=generator):
        nearest = int((means - x).square().sum(1).argmin())
        assert int((weight @ x + bias).argmax()) == nearest


def test_prototypes_answer_with_classes_of_the_support_set(tiny: Experiment, model: GlobalModel, support: Support):
    personal = _one(tiny, "full+prototypes").personalize(model, support)
    features, _ = split_classifier(model.full, support.x)
    with torch.no_grad():
        taken = personal.module(model.train.x).argmax(1)
        own, layer = personal.module(support.x), classifier_of(personal.module)[1]
    assert set(taken.tolist()) <= set(support.y.tolist())
    torch.testing.assert_close(own, features @ layer.weight.T + layer.bias)


def test_templates_are_means_of_rows_and_of_features_with_their_label():
    weight = torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    features = torch.tensor([[0.0, 3.0], [4.0, 0.0], [3.0, 4.0]])
    rows = templates(weight, features, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(rows, torch.tensor([[2 / 3, 1 / 3], [0.3, 0.9]]))


def test_tents_gradient_is_that_of_the_entropy():
    """dH/dz_j = -p_j (log p_j + H), worked out by hand."""
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 3.0]], requires_grad=True)
    entropy(logits).backward()
    p = logits.detach().softmax(1)
    each = -(p * p.log()).sum(1, keepdim=True)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, -p * (p.log() + each) / len(p))


def test_tent_trains_scales_and_shifts_alone_and_makes_predictions_surer(
    tiny: Experiment, model: GlobalModel, support: Support
):
    personal = _one(tiny, "full+tent", **{"tent.steps": 3, "tent.learning_rate": 1e-2}).personalize(model, support)
    before, after = model.full.state_dict(), personal.module.state_dict()
    norms = {f"{path}.{name}" for path, layer in model.full.named_modules() for name in ("weight", "bias")
             if isinstance(layer, nn.BatchNorm2d)}  # fmt: skip
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == norms
    with torch.no_grad():
        assert entropy(personal.module(support.x)) < entropy(model.full(support.x))
    assert personal.retrain_samples == 3 * len(support.x)
    assert all(parameter.grad is None for parameter in affine(personal.module))


def test_tent_is_refused_where_nothing_is_there_to_train(tiny: Experiment):
    network = build(spec_for("res8_narrow", {}, (1, 49, 40), 4))
    with pytest.raises(UserError, match=r"full\+tent cannot be used: .* no batch normalization with scales and shifts"):
        _one(tiny, "full+tent").check(network, None)  # pyright: ignore[reportArgumentType]


def test_capnn_keeps_what_fires_for_the_persons_classes():
    """Channel 0 fires for class 0, channel 1 for class 1, channel 2 for the class that 0 is mistaken for."""
    rates = [torch.eye(3)]
    confusion = torch.tensor([[0.0, 0.0, 0.4], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    usage = torch.tensor([0.75, 0.25, 0.0])
    (scores,) = class_scores(rates, confusion, usage, 0.5)
    assert scores.tolist() == pytest.approx([0.75, 0.25, -0.5])
    (plain,) = class_scores(rates, confusion, usage, 0.0)
    assert plain.tolist() == pytest.approx([0.75, 0.25, 0.0])


def test_capnns_profile_is_counted_as_a_loop_counts_it(model: GlobalModel):
    network, samples = model.full, Support(x=model.train.x[:40], y=model.train.y[:40])
    rates, confusion = profile(network, samples, 40)
    seen: list[torch.Tensor] = []
    output = network.get_submodule(network.groups[0].output)
    handle = output.register_forward_hook(lambda _, __, out: seen.append(out.mean((2, 3))))
    with torch.no_grad():
        probabilities = network(samples.x).softmax(1)
    handle.remove()
    fires = seen[0] > seen[0].mean(0)
    for c in samples.y.unique().tolist():
        of_class = samples.y == c
        torch.testing.assert_close(rates[0][c], fires[of_class].float().mean(0))
        for d in range(10):
            expected = 0.0 if c == d else float(probabilities[of_class, d].mean())
            assert float(confusion[c, d]) == pytest.approx(expected, abs=1e-6)


def test_capnn_reads_predictions_of_the_support_set_only(tiny: Experiment, model: GlobalModel, support: Support):
    experiment = tiny.replace(**{"static.samples": 64})
    one = _one(experiment, "capnn").personalize(model, support, 0.5)
    moved = Support(x=support.x.flip(0), y=support.y)
    two = _one(experiment, "capnn").personalize(model, moved, 0.5)
    assert one.masks is not None
    assert two.masks is not None
    assert all(torch.equal(a, b) for a, b in zip(one.masks, two.masks, strict=True))


def test_the_last_layer_is_trained_alone(model: GlobalModel, support: Support):
    tuned, _ = finetune(model.full, support, TASKS["classification"], steps=2, learning_rate=1e-2, layers="last")
    path, _ = classifier_of(model.full)
    before, after = model.full.state_dict(), tuned.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {f"{path}.weight", f"{path}.bias"}


def test_augmented_fine_tuning_follows_from_the_supports_seed(model: GlobalModel, support: Support):
    how = {"steps": 2, "learning_rate": 1e-2, "augment": ("crop",)}
    one, again = (finetune(model.full, support, TASKS["classification"], **how)[0].state_dict() for _ in range(2))
    plain = finetune(model.full, support, TASKS["classification"], steps=2, learning_rate=1e-2)[0].state_dict()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], plain[name]) for name in one)


def test_variants_of_methods_and_steps_have_settings_of_their_own(tiny: Experiment):
    settings = {"finetune@last": {"finetune.layers": "last"}, "full+classes@em": {"classes.rule": "em"}}
    names = ["finetune", "finetune@last", "full+classes", "full+classes@em", "full+classes@em+quant"]
    made = {each.method: each for each in make_personalizers(tiny.replace(methods=names, settings=settings))}
    assert [*made] == names
    assert made["finetune@last"].experiment.finetune.layers == "last"
    assert made["finetune"].experiment.finetune.layers == "all"
    assert made["full+classes@em+quant"].experiment.classes.rule == "em"
    with pytest.raises(UserError, match=r"unknown step of method full\+clases@em 'clases@em': did you mean 'classes'"):
        make_personalizers(tiny.replace(methods=["full+clases@em"]))

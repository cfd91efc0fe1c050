"""Gates for a person at a time: what they see, and that a mask in training is the network that is sliced."""

import pytest
import torch
from backbone_structures import names_by_structure
from small_backbones import small

from pppl.backbones import build, hook_groups, slice_network, spec_for
from pppl.gating import PersonGatedNetwork, relaxed_masks, with_gradient_of
from pppl.gating.person_views import Channels
from pppl.tasks import TASKS

CLASSES = 4


def network(name: str = "convnet", **settings) -> tuple[PersonGatedNetwork, torch.nn.Module, tuple[int, ...]]:
    """A person-gated network, a full one beside it, and the shape of their samples."""
    torch.manual_seed(0)
    options, shape = small(name)
    spec = build(spec_for(name, options, shape, CLASSES)).spec
    return PersonGatedNetwork(build(spec), TASKS["classification"], **settings).eval(), build(spec).eval(), shape


@pytest.mark.parametrize("name", names_by_structure())
def test_a_batch_of_several_people_computes_what_their_sliced_networks_compute(name: str):
    gated, full, shape = network(name)
    x = torch.rand(6, *shape)
    prototypes = torch.stack([gated.view(x[:3], full).mean(0), gated.view(x[3:], full).mean(0)])
    scores = gated.scores(prototypes * torch.tensor([[1.0], [4.0]]), torch.tensor([0.2, 0.8]))
    masks = scores > scores.median(1, keepdim=True).values
    parts = [part.clone() for part in masks.split(gated.backbone.widths, 1)]
    for part in parts:
        part[:, 0] = True
    both = gated(x, torch.cat(parts, 1).float().repeat_interleave(3, 0))
    for person in (0, 1):
        sliced = slice_network(gated.backbone, [part[person] for part in parts])
        torch.testing.assert_close(sliced(x[3 * person :][:3]), both[3 * person :][:3], atol=1e-4, rtol=1e-4)


def test_predictions_are_seen_as_probabilities_of_the_full_network():
    gated, full, shape = network()
    x = torch.rand(5, *shape)
    torch.testing.assert_close(gated.view(x, full), full(x).softmax(1))
    torch.testing.assert_close(gated.view(x, full).sum(1), torch.ones(5))


def test_a_shift_is_what_a_person_has_beyond_their_classes():
    gated, full, shape = network(gate_input="channels")
    x = torch.rand(200, *shape, generator=torch.Generator().manual_seed(0))
    rows = gated.view(x, full)
    sight = gated.sight
    assert isinstance(sight, Channels)
    sight.fit(rows)
    predictions, shift = sight.read(rows).split([CLASSES, sight.size - CLASSES], 1)
    torch.testing.assert_close(predictions, full(x).softmax(1) * CLASSES**0.5)
    varying = sight.spread > 1e-5
    assert varying.sum() > 4
    torch.testing.assert_close(shift.mean(0)[varying], torch.zeros(int(varying.sum())), atol=0.05, rtol=0)
    assert (shift[:, varying].std(0) < 1.1).all()
    louder = sight.read(gated.view(1.5 * x, full))[:, CLASSES:]
    assert louder.abs().mean() > shift.abs().mean(), "another kind of sample is seen"


def test_channels_are_those_that_can_be_removed():
    gated, full, shape = network(gate_input="channels")
    x = torch.rand(3, *shape)
    seen: list[torch.Tensor] = []
    with hook_groups(full, after=lambda _, values: seen.append(values) or values):
        full(x)
    values = gated.view(x, full)[:, CLASSES:]
    first = gated.backbone.widths[0]
    torch.testing.assert_close(values[:, :first], seen[0].mean((2, 3)))
    torch.testing.assert_close(values[:, first : 2 * first], seen[0].square().mean((2, 3)).sqrt())
    assert values.shape == (3, 2 * sum(gated.backbone.widths))


def test_with_layers_gates_see_what_published_ones_see_and_leave_statistics_alone():
    gated, full, shape = network(gate_input="layers", width=8)
    gated.train()
    before = {name: value.clone() for name, value in gated.backbone.state_dict().items()}
    view = gated.view(torch.rand(5, *shape), full)
    assert view.shape == (5, sum(gated.backbone.widths))
    assert gated.backbone.training
    for name, value in gated.backbone.state_dict().items():
        torch.testing.assert_close(value, before[name], msg=name)
    means = view.mean(0, keepdim=True)
    scores = gated.scores(means, torch.tensor([0.3]))
    torch.testing.assert_close(scores.sigmoid(), means, msg="the mean open probability is the score")


def test_who_sees_nothing_has_one_mask_for_everybody():
    gated, full, shape = network(gate_input="nothing")
    views = gated.view(torch.rand(7, *shape), full)
    scores = gated.scores(views, torch.full((7,), 0.3))
    assert (scores == scores[0]).all()
    assert (gated.scores(views[:1], torch.tensor([0.1])) != scores[:1]).any(), "but one for each budget"


def test_gates_can_begin_with_one_mask_for_all_that_keeps_the_same_fraction_of_each_group():
    gated, full, shape = network()
    importance = [torch.rand(width, generator=torch.Generator().manual_seed(width)) for width in full.widths]
    gated.begin_with(importance)
    views = gated.view(torch.rand(3, *shape), full)
    scores = gated.scores(views, torch.tensor([0.1, 0.3, 0.9]))
    assert (scores == scores[0]).all()
    for own, given in zip(scores[0].split(gated.backbone.widths), importance, strict=True):
        assert own.argsort().tolist() == given.argsort().tolist()
        assert (own > 0).sum() == len(own) // 2


def test_masks_have_their_values_and_the_gradient_of_the_relaxation():
    scores = torch.tensor([[-1.0, 0.5, 2.0]], requires_grad=True)
    relaxed = relaxed_masks(scores, torch.tensor([0.25]), 0.5)
    masks = with_gradient_of(torch.tensor([[False, True, True]]), relaxed)
    assert masks.tolist() == [[0, 1, 1]]
    masks.sum().backward()
    p = torch.sigmoid((scores.detach() - 0.25) / 0.5)
    torch.testing.assert_close(scores.grad, p * (1 - p) / 0.5)

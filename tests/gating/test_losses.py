import math

import pytest
import torch

from pppl.gating.losses import prototype_loss, target_rate_loss
from pppl.tasks import TASKS


def test_target_rate_by_hand():
    gates = [torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 1.0, 1.0, 0.0]])]
    # Rates 0.5 and 0.75 against 0.25.
    assert target_rate_loss(gates, 0.25).item() == pytest.approx(0.25**2 + 0.5**2)


def test_prototype_loss_by_hand():
    # D = 2. Support: class 0 at (0, 0) and (1, 0), class 1 at (1, 1): prototypes (0.5, 0) and (1, 1).
    # Query: (0, 0) of class 0, at squared distances 0.25 and 2, halved by D.
    embedding = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.3, 0.3], [0.6, 0.6]])
    labels = torch.tensor([0, 0, 1, 0, 7, 7])  # nobody of class 7 is in the support: left out
    scale = 3.0
    own, other = math.exp(-scale * 0.25 / 2), math.exp(-scale * 2 / 2)
    loss = prototype_loss(embedding, labels, scale=scale)
    assert loss.item() == pytest.approx(-math.log(own / (own + other)), rel=1e-5)


def test_no_sample_is_in_its_own_prototype():
    torch.manual_seed(0)
    embedding = torch.rand(8, 5, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
    prototype_loss(embedding, labels, scale=2.0).backward()
    # If query samples entered prototypes, then the prototypes of the support alone would not give the same loss.
    prototypes, query = embedding[:4].detach(), embedding[4:].detach()
    logits = -2.0 * (query[:, None] - prototypes).square().mean(-1)
    expected = torch.nn.functional.cross_entropy(logits, labels[4:])
    assert prototype_loss(embedding, labels, scale=2.0).item() == pytest.approx(expected.item(), rel=1e-5)
    # Moving a query sample moves the loss as its own term alone does.
    lone = query[0].clone().requires_grad_()
    alone = -2.0 * (lone - prototypes).square().mean(-1)
    torch.nn.functional.cross_entropy(alone[None], labels[4:5]).backward()
    assert embedding.grad is not None
    assert lone.grad is not None
    torch.testing.assert_close(embedding.grad[4], lone.grad / 4)


def test_without_a_class_in_both_halves_the_loss_is_zero():
    embedding = torch.rand(4, 3, requires_grad=True)
    loss = prototype_loss(embedding, torch.tensor([0, 0, 1, 1]), scale=1.0)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(embedding.grad).all()  # type: ignore[arg-type]


def test_a_lone_sample_has_no_prototype():
    assert prototype_loss(torch.rand(1, 3), torch.tensor([0]), scale=1.0).item() == 0


def test_separated_gates_lose_less():
    labels = torch.tensor([0, 1, 0, 1])
    apart = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    assert prototype_loss(apart, labels, scale=10.0) < prototype_loss(torch.full((4, 2), 0.5), labels, scale=10.0)


def test_distillation_is_the_divergence_of_softened_predictions():
    """Kullback-Leibler of softmax(z / 2), times 4, by hand: (3/4, 1/4) against (1/2, 1/2)."""
    teacher = torch.tensor([[2 * math.log(3), 0.0]])
    expected = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert float(TASKS["classification"].divergence(torch.zeros(1, 2), teacher)) == pytest.approx(expected)
    assert float(TASKS["classification"].divergence(teacher, teacher)) == pytest.approx(0, abs=1e-7)

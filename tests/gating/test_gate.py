import pytest
import torch

from pppl.gating.gate import Gate, logistic_noise, straight_through

CPU = torch.device("cpu")


def _sampled(logits: torch.Tensor, noise: torch.Tensor, temperature: float) -> torch.Tensor:
    """The gates themselves: what multiplies activations of one."""
    return straight_through(torch.ones(*logits.shape, 1), logits, noise, temperature)[0].squeeze(-1)


@pytest.mark.parametrize("temperature", [0.2, 2 / 3, 3.0])
@pytest.mark.parametrize("logit", [-2.0, 0.0, 0.7, 2.0])
def test_a_gate_opens_with_the_sigmoid_of_its_logit_at_any_temperature(logit: float, temperature: float):
    torch.manual_seed(0)
    logits = torch.full((1000, 400), logit)
    gates = _sampled(logits, logistic_noise(1000, 400, device=CPU), temperature)
    assert set(gates.unique().tolist()) <= {0.0, 1.0}
    probability = torch.sigmoid(torch.tensor(logit)).item()
    # Five standard errors of a mean over 400,000 draws.
    assert gates.mean().item() == pytest.approx(probability, abs=5 * 0.5 / 400_000**0.5)


def test_the_gradient_is_that_of_the_relaxation():
    torch.manual_seed(0)
    temperature = 0.5
    logits, noise = torch.randn(5, 3, requires_grad=True), logistic_noise(5, 3, device=CPU)
    activations = torch.randn(5, 3, 2, 2, requires_grad=True)
    weights = torch.randn(5, 3, 2, 2)
    output, gates = straight_through(activations, logits, noise, temperature)
    ((output * weights).sum() + 3 * gates.sum()).backward()

    relaxed_logits = logits.detach().clone().requires_grad_()
    relaxed = torch.sigmoid((relaxed_logits + noise) / temperature)
    ((activations.detach() * relaxed[:, :, None, None] * weights).sum() + 3 * relaxed.sum()).backward()
    torch.testing.assert_close(logits.grad, relaxed_logits.grad)
    torch.testing.assert_close(activations.grad, weights * gates.detach()[:, :, None, None])


def test_either_output_may_go_unused():
    logits, noise = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3)
    _, gates = straight_through(torch.ones(2, 3, 1), logits, noise, 1.0)
    gates.sum().backward()
    torch.testing.assert_close(logits.grad, torch.full((2, 3), 0.25))
    logits.grad = None
    output, _ = straight_through(torch.ones(2, 3, 1), logits, noise, 1.0)
    output.sum().backward()
    torch.testing.assert_close(logits.grad, torch.full((2, 3), 0.25))


def test_a_new_gate_is_open_with_probability_088():
    torch.manual_seed(0)
    gate = Gate(3, 50, width=8)
    probability = torch.sigmoid(gate(torch.rand(64, 3, 5, 5)))
    assert probability.mean().item() == pytest.approx(0.88, abs=0.01)


def test_a_gate_sees_the_mean_of_each_channel():
    gate = Gate(3, 4, width=8).eval()
    x = torch.rand(2, 3, 6, 5)
    pooled = x.mean((2, 3), keepdim=True).expand_as(x)
    torch.testing.assert_close(gate(x), gate(pooled))
    torch.testing.assert_close(gate(x), gate(x.flatten(2)))

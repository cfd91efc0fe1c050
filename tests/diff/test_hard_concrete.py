from math import exp, log

import pytest
import torch

from pppl.diff.hard_concrete import evaluation_gate, gate, open_probability, slope, stretched
from pppl.diff.passes import uniform

ALPHAS = [-6.0, -1.0, 0.0, 0.7, log(5), 5.0]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_gate_opens_as_often_as_the_closed_form_says(alpha: float):
    u = (torch.arange(1_000_000, dtype=torch.float64) + 0.5) / 1_000_000
    z = gate(torch.tensor(alpha, dtype=torch.float64), u)
    closed = 1 / (1 + exp(-alpha))
    assert (z > 0).double().mean().item() == pytest.approx(closed, abs=2e-6)
    assert open_probability(torch.tensor(alpha, dtype=torch.float64)).item() == pytest.approx(closed, abs=1e-12)
    # s > 5/6, where z is 1, by the same argument.
    assert (z == 1).double().mean().item() == pytest.approx(
        1 / (1 + 5 * torch.exp(torch.tensor(-alpha)).item()), abs=1e-5
    )


def test_the_sample_is_that_of_the_definition():
    u, a = torch.rand(1000, dtype=torch.float64), torch.randn(1000, dtype=torch.float64) * 3
    s = torch.sigmoid(torch.log(u) - torch.log(1 - u) + a)
    torch.testing.assert_close(gate(a, u), (s * 3 - 1.5).clamp(0, 1))


def test_the_slope_is_the_derivative():
    u, a = torch.rand(2000, dtype=torch.float64), torch.randn(2000, dtype=torch.float64) * 2
    step = 1e-6
    numeric = (gate(a + step, u) - gate(a - step, u)) / (2 * step)
    near = torch.minimum(stretched(a, u).abs(), (stretched(a, u) - 1).abs()) < 1e-4  # at a kink
    torch.testing.assert_close(slope(stretched(a, u))[~near], numeric[~near], atol=1e-8, rtol=1e-6)


def test_the_gate_without_noise():
    a = torch.tensor([-1.0, 0.0, 1e-3, 1.0, log(5) - 1e-3, log(5) + 1e-6, 9.0], dtype=torch.float64)
    z = evaluation_gate(a)
    assert (z[:2] == 0).all()
    assert (z[5:] == 1).all()
    assert ((z[2:5] > 0) & (z[2:5] < 1)).all()


def test_a_gate_that_is_closed_for_good_has_no_part():
    a, u = torch.tensor([-1e4]), torch.tensor([0.999])
    assert gate(a, u).item() == open_probability(a).item() == slope(stretched(a, u)).item() == 0.0


def test_noise_is_uniform_and_independent():
    index = torch.arange(1_000_000, dtype=torch.int32)
    u = uniform(index, torch.tensor([3, -9], dtype=torch.int32))
    v = uniform(index, torch.tensor([4, -9], dtype=torch.int32))
    assert 0 < u.min() < 1e-5
    assert 1 - 1e-5 < u.max() < 1
    counts = torch.histc(u, 100, 0, 1)
    # 99 degrees of freedom: 170 has a probability of 1e-5.
    assert ((counts - 1e4).square() / 1e4).sum() < 170
    for other in (v, u.roll(1), u.roll(256)):
        assert abs(torch.corrcoef(torch.stack([u, other]))[0, 1].item()) < 0.005

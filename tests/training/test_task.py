"""The training loop of tasks, with every adapter, on a small network with tied weights."""

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from tied_network import Tied, make
from torch import Tensor, nn

from pppl.diff import FixedDiff, Flat, RelaxedDiff, roles, top_positions
from pppl.training import outputs, train_task
from pppl.training.adapters import Adapter, Dense, Fixed, Relaxed, Together


class Batches:
    """What a random linear map says of random inputs."""

    def __init__(self, count: int):
        torch.manual_seed(1)
        teacher = torch.randn(20, 3)
        self.pairs = [(x, (x @ teacher).argmax(1)) for x in torch.randn(count, 16, 20)]

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self.pairs)


def dense(network: Tied) -> Adapter:
    return Dense([*network.parameters()], learning_rate=0.02)


def relaxed(network: Tied) -> Adapter:
    flat = Flat(network, roles(network, dense=["head.*"]).diff)
    head = Dense([*network.head.parameters()], learning_rate=0.02)
    return Together(Relaxed(RelaxedDiff(flat), learning_rate=0.02, gate_rate=0.01), head)


def fixed(network: Tied) -> Adapter:
    flat = Flat(network, roles(network, dense=["head.*"]).diff)
    head = Dense([*network.head.parameters()], learning_rate=0.02)
    positions = top_positions(torch.rand(flat.blocks, 256), flat, 0.2)
    return Together(Fixed(FixedDiff(flat, positions), learning_rate=0.02), head)


@pytest.mark.parametrize("make_adapter", [dense, relaxed, fixed])
def test_every_adapter_learns(make_adapter: Callable[[Tied], Adapter]):
    network, data = make(torch.float32)[0], Batches(5)
    adapter = make_adapter(network)
    before, targets = outputs(network, data, adapter)
    train_task(network, F.cross_entropy, adapter, data, epochs=40, accumulate=2)
    after, _ = outputs(network, data, adapter)
    assert F.cross_entropy(after, targets) < 0.5 * F.cross_entropy(before, targets)
    assert network.training, "as it was"
    assert before.shape == (80, 3)


def test_the_learning_rate_rises_and_falls_and_batches_add_up():
    scales: list[float] = []
    gradients: list[Tensor] = []

    class Recording(Dense):
        def step(self, scale: float) -> None:
            scales.append(scale)
            assert self.parameters[0].grad is not None
            gradients.append(self.parameters[0].grad.clone())
            super().step(0.0)

    network = nn.Sequential(nn.Linear(20, 5), nn.Tanh(), nn.Linear(5, 3))
    data = Batches(4)
    adapter = Recording([*network.parameters()], learning_rate=1.0)
    train_task(network, F.cross_entropy, adapter, data, epochs=25, accumulate=3, precision="32-true")
    rising = [(step + 1) / 3 for step in range(3)]  # 0.06 of 50 steps
    falling = [(50 - step) / 47 for step in range(3, 50)]
    assert scales == pytest.approx([*rising, *falling])
    plain = copy.deepcopy(network)
    x, y = (torch.cat(parts) for parts in zip(*data.pairs[:3], strict=True))
    F.cross_entropy(plain(x), y).backward()
    torch.testing.assert_close(gradients[0], plain[0].weight.grad)
    plain.zero_grad()
    F.cross_entropy(plain(data.pairs[3][0]), data.pairs[3][1]).backward()
    torch.testing.assert_close(gradients[1], plain[0].weight.grad, msg="the last step takes the batch that is left")

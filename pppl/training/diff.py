"""Diff pruning on a support set: what a device would learn and send as a delta."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from .. import config
from ..data import Support
from ..diff import Delta, FixedDiff, Flat, RelaxedDiff, base_sha256, delta_of, top_positions
from .adapters import Adapter, Fixed, Relaxed


def learn_delta(
    network: nn.Module, support: Support, diff: config.Diff, *, rate: float, structured: bool
) -> tuple[nn.Module, Delta, int]:
    """Both stages of diff pruning on the support set's labels, full batches; batch statistics stay as they are.

    In each stage the learning rate decays linearly.

    **Arguments:**

    - `rate`: fraction of the network's parameters that differ in the end, exactly so many.
    - `structured`: whether each parameter tensor has a gate too.

    **Returns:** a copy of `network` with the difference, in evaluation mode; the difference; and the samples seen.
    """
    tuned = copy.deepcopy(network).eval()  # evaluation mode: a few samples make poor batch statistics
    flat = Flat(tuned, [name for name, _ in tuned.named_parameters()])

    def train(adapter: Adapter, steps: int) -> None:
        for step in range(steps):
            adapter.sample()
            F.cross_entropy(tuned(support.x), support.y).backward()
            adapter.step(1 - step / steps)

    with torch.enable_grad():
        relaxed = RelaxedDiff(flat, structured=structured, penalty=diff.penalty, seed=support.seed)
        gate_rate = diff.gates_way / diff.steps
        train(Relaxed(relaxed, learning_rate=diff.learning_rate, gate_rate=gate_rate), diff.steps)
        positions = top_positions(relaxed.importance(), flat, rate)
        fixed = FixedDiff(flat, positions, relaxed.difference().view(-1)[positions])
        train(Fixed(fixed, learning_rate=diff.fixed_learning_rate), diff.fixed_steps)
    delta = delta_of(flat, positions, fixed.values, state={}, base_sha256=base_sha256(network))
    return tuned.requires_grad_(True), delta, (diff.steps + diff.fixed_steps) * len(support.x)

"""Diff pruning on a support set: what a device would learn and send as a delta."""

import copy
import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import config
from ..data import Support, TimedCache
from ..diff import Delta, FixedDiff, Flat, RelaxedDiff, base_sha256, delta_of, top_positions
from .adapters import Adapter, Fixed, Relaxed


def learn_delta(
    network: nn.Module,
    support: Support,
    diff: config.DiffSettings,
    *,
    rate: float,
    structured: bool,
    once: TimedCache | None = None,
) -> tuple[nn.Module, Delta, int]:
    """Both stages of diff pruning on the support set's labels, full batches; batch statistics stay as they are.

    In each stage the learning rate decays linearly.

    **Arguments:**

    - `rate`: fraction of the network's parameters that differ in the end, exactly so many.
    - `structured`: whether each parameter tensor has a gate too.
    - `once`: keeps the first stage, which is the same for all rates of a network.

    **Returns:** a copy of `network` with the difference, in evaluation mode; the difference; and the samples seen.
    """
    of_first = dataclasses.replace(diff, rates=(1.0,), fixed_steps=1, fixed_learning_rate=1.0)
    key = ("relaxed", network, structured, of_first)
    importance, difference = (once or TimedCache())(key, lambda: _relaxed(network, support, diff, structured))
    tuned, flat = _copy(network)
    positions = top_positions(importance, flat, rate)
    fixed = FixedDiff(flat, positions, difference.view(-1)[positions])
    _train(tuned, support, Fixed(fixed, learning_rate=diff.fixed_learning_rate), diff.fixed_steps)
    delta = delta_of(flat, positions, fixed.values, state={}, base_sha256=base_sha256(network))
    return tuned.requires_grad_(True), delta, (diff.steps + diff.fixed_steps) * len(support.x)


def _relaxed(
    network: nn.Module, support: Support, diff: config.DiffSettings, structured: bool
) -> tuple[Tensor, Tensor]:
    """The first stage: how important each value's difference is, and the differences, `(blocks, BLOCK)`."""
    tuned, flat = _copy(network)
    relaxed = RelaxedDiff(flat, structured=structured, groups=diff.groups, penalty=diff.penalty, seed=support.seed)
    gate_rate = diff.gates_way / diff.steps
    _train(tuned, support, Relaxed(relaxed, learning_rate=diff.learning_rate, gate_rate=gate_rate), diff.steps)
    return relaxed.importance(), relaxed.difference()


def _copy(network: nn.Module) -> tuple[nn.Module, Flat]:
    tuned = copy.deepcopy(network).eval()  # evaluation mode: a few samples make poor batch statistics
    return tuned, Flat(tuned, [name for name, _ in tuned.named_parameters()])


@torch.enable_grad()
def _train(network: nn.Module, support: Support, adapter: Adapter, steps: int) -> None:
    for step in range(steps):
        adapter.sample()
        F.cross_entropy(network(support.x), support.y).backward()
        adapter.step(1 - step / steps)

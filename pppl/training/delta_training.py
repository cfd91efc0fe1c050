"""Diff pruning on a support set: training of the delta that a device would send."""

import copy
import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..config import register_settings, require
from ..data import Support, TimedCache
from ..diff import Delta, FixedDiff, Flat, RelaxedDiff, base_sha256, delta_of, top_positions
from ..tasks import Task
from .adapters import Adapter, Fixed, Relaxed


@register_settings("diff")
@dataclass(frozen=True, kw_only=True)
class DiffSettings:
    """Diff pruning on a support set with its labels, full batches: a sparse difference for each person.

    The defaults are the best of a grid on validation persons of the digits.

    >>> DiffSettings(rates=(0.01,)).steps
    20

    - `rates`: fractions of the parameters that differ. The first is that of method `diff`; any other rate adds a method
      `diff@RATE`.
    - `penalty`: lambda, the price of one difference in the first stage.
    - `groups`: how the penalty counts the gates of tensors, `sum` or `product`, see `pppl.diff.RelaxedDiff`.
    - `steps`: training steps of the first stage, in which gates choose positions.
    - `learning_rate`: the learning rate of the first stage.
    - `gates_way`: how far the first stage can move a gate's log_alpha, which begins at 5. A gate is fully open
      above 1.6 and closed below 0. If it cannot move so far, magnitudes alone choose positions.
    - `fixed_steps`: training steps of the second stage, which trains the values at the chosen positions.
    - `fixed_learning_rate`: the learning rate of the second stage.
    """

    rates: tuple[float, ...] = (0.005,)
    penalty: float = 1.25e-7
    groups: Literal["product", "sum"] = "sum"
    steps: int = 20
    learning_rate: float = 1e-2
    gates_way: float = 12.0
    fixed_steps: int = 20
    fixed_learning_rate: float = 3e-2

    def __post_init__(self) -> None:
        require(len(self.rates) > 0, "diff.rates is empty: name at least one")
        for rate in self.rates:
            require(0 < rate <= 1, f"diff.rates holds {rate}: a rate is a fraction in (0, 1]")
        require(len(set(self.rates)) == len(self.rates), f"diff.rates is {list(self.rates)}: name each once")
        require(self.penalty >= 0, f"diff.penalty is {self.penalty}: 0 or more")
        for name in ("steps", "fixed_steps"):
            require(getattr(self, name) >= 1, f"diff.{name} is {getattr(self, name)}: at least 1")
        for name in ("learning_rate", "gates_way", "fixed_learning_rate"):
            require(getattr(self, name) > 0, f"diff.{name} is {getattr(self, name)}: more than 0")


def learn_delta(
    network: nn.Module,
    support: Support,
    task: Task,
    diff: DiffSettings,
    *,
    rate: float,
    structured: bool,
    once: TimedCache | None = None,
) -> tuple[nn.Module, Delta, int]:
    """Run both stages of diff pruning on the support set's labels, with full batches.

    The learning rate decays linearly in each stage. Batch statistics stay as they are.

    >>> from pppl.tasks import TASKS
    >>> support = Support(x=torch.rand(4, 8), y=torch.tensor([0, 1, 0, 1]))
    >>> network, few = nn.Linear(8, 2), DiffSettings(steps=2, fixed_steps=2)
    >>> tuned, delta, seen = learn_delta(network, support, TASKS["classification"], few, rate=0.25, structured=False)
    >>> delta.count, seen
    (4, 16)

    **Arguments:**

    - `rate`: exact fraction of the network's parameters that differ in the end.
    - `structured`: whether each parameter tensor has a gate, too.
    - `once`: cache of the first stage, which is the same for all rates of a network.

    **Returns:** a copy of `network` with the difference, in evaluation mode; the difference; and the number of samples
    that went through training steps, repeated ones included.
    """
    first_stage = dataclasses.replace(diff, rates=(1.0,), fixed_steps=1, fixed_learning_rate=1.0)
    key = ("relaxed", network, structured, first_stage)
    importance, difference = (once or TimedCache())(key, lambda: _relaxed(network, support, task, diff, structured))
    tuned, flat = _copy(network)
    positions = top_positions(importance, flat, rate)
    fixed = FixedDiff(flat, positions, difference.view(-1)[positions])
    _train(tuned, support, task, Fixed(fixed, learning_rate=diff.fixed_learning_rate), diff.fixed_steps)
    delta = delta_of(flat, positions, fixed.values, state={}, base_sha256=base_sha256(network))
    return tuned.requires_grad_(True), delta, (diff.steps + diff.fixed_steps) * len(support.x)


def _relaxed(
    network: nn.Module, support: Support, task: Task, diff: DiffSettings, structured: bool
) -> tuple[Tensor, Tensor]:
    """Run the first stage; return the importance of each value's difference, and the differences, `(blocks, BLOCK)`."""
    tuned, flat = _copy(network)
    relaxed = RelaxedDiff(flat, structured=structured, groups=diff.groups, penalty=diff.penalty, seed=support.seed)
    gate_rate = diff.gates_way / diff.steps
    _train(tuned, support, task, Relaxed(relaxed, learning_rate=diff.learning_rate, gate_rate=gate_rate), diff.steps)
    return relaxed.importance(), relaxed.difference()


def _copy(network: nn.Module) -> tuple[nn.Module, Flat]:
    tuned = copy.deepcopy(network).eval()  # evaluation mode: a few samples make poor batch statistics
    return tuned, Flat(tuned, [name for name, _ in tuned.named_parameters()])


@torch.enable_grad()
def _train(network: nn.Module, support: Support, task: Task, adapter: Adapter, steps: int) -> None:
    for step in range(steps):
        adapter.sample()
        task.loss(network(support.x), support.y).backward()
        adapter.step(1 - step / steps)

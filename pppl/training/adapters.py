"""Adapters: ways to train a network on a task, each with its own parameters and optimizer."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Protocol

import torch
from torch import nn

from ..diff import FixedDiff, RelaxedDiff
from ..system.errors import Diverged


class Adapter(Protocol):
    """The part of a network that `TaskModule` trains.

    A training step calls `sample`, then runs any number of backward passes, then calls `step`.
    """

    def sample(self) -> None:
        """Prepare the network for the forward pass."""
        ...

    def step(self, scale: float) -> None:
        """Update the parameters by their gradients, at `scale` times the learning rate, and clear the gradients."""
        ...

    def evaluating(self) -> AbstractContextManager[None]:
        """Return a context manager in which the network has the values that it is evaluated with."""
        ...


class Dense:
    """AdamW on given parameters: full fine-tuning, a head, biases, the matrices of `peft`.

    **Arguments:**

    - `clip`: largest norm of the gradients; longer ones are scaled to it.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], *, learning_rate: float, clip: float = 1.0):
        self.parameters, self.learning_rate, self.clip = list(parameters), learning_rate, clip
        self.optimizer = torch.optim.AdamW(self.parameters, lr=learning_rate, weight_decay=0.0, fused=True)

    def sample(self) -> None:
        """Do nothing: the network is ready."""

    def step(self, scale: float) -> None:
        """Run a step of AdamW on clipped gradients. Raise `Diverged` if they are not finite."""
        if not bool(nn.utils.clip_grad_norm_(self.parameters, self.clip).isfinite()):
            raise Diverged("gradients")
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * scale
        self.optimizer.step()
        self.optimizer.zero_grad()

    def evaluating(self) -> AbstractContextManager[None]:
        """Return a context manager that changes nothing."""
        return nullcontext()


class Relaxed:
    """The first stage of diff pruning, in which gates choose the positions of a difference.

    **Arguments:**

    - `learning_rate`, `gate_rate`: of the values and of the gates.
    """

    def __init__(self, relaxed: RelaxedDiff, *, learning_rate: float, gate_rate: float):
        self.relaxed, self.learning_rate, self.gate_rate = relaxed, learning_rate, gate_rate

    def sample(self) -> None:
        """Draw the gates' noise, once for all micro-batches of a step."""
        self.relaxed.sample()

    def step(self, scale: float) -> None:
        """Update values at `scale` times their learning rate, and gates at their own (as Guo et al.'s code)."""
        self.relaxed.step(learning_rate=self.learning_rate * scale, gate_rate=self.gate_rate)

    def evaluating(self) -> AbstractContextManager[None]:
        """Return a context manager in which gates have no noise."""
        return self.relaxed.evaluating()


class Fixed:
    """Differences at fixed positions: the second stage of diff pruning, or training after any choice of positions."""

    def __init__(self, fixed: FixedDiff, *, learning_rate: float):
        self.fixed, self._values = fixed, Dense([fixed.values], learning_rate=learning_rate)

    def sample(self) -> None:
        """Do nothing: the network is ready."""

    def step(self, scale: float) -> None:
        """Run a step of AdamW on the values at these positions."""
        self.fixed.gather()
        self._values.step(scale)
        self.fixed.scatter()

    def evaluating(self) -> AbstractContextManager[None]:
        """Return a context manager that changes nothing."""
        return nullcontext()


class Together:
    """Several adapters of one network, such as a difference to its encoder and a dense head."""

    def __init__(self, *adapters: Adapter):
        self.adapters = adapters

    def sample(self) -> None:
        """Prepare the network for each adapter in turn."""
        for adapter in self.adapters:
            adapter.sample()

    def step(self, scale: float) -> None:
        """Run a step of each adapter in turn, at its own learning rate."""
        for adapter in self.adapters:
            adapter.step(scale)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Enter the contexts of all adapters."""
        with ExitStack() as stack:
            for adapter in self.adapters:
                stack.enter_context(adapter.evaluating())
            yield

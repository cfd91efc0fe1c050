"""Ways in which a task changes a network: what a training step moves, behind one small protocol."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Protocol

import torch
from torch import nn

from ..diff import FixedDiff, RelaxedDiff
from ..system.errors import Diverged


class Adapter(Protocol):
    """What `TaskModule` trains. One step is `sample`, any number of backward passes, `step`."""

    def sample(self) -> None:
        """Readies the network for the forward pass."""
        ...

    def step(self, scale: float) -> None:
        """Moves along the gradients, at `scale` times the learning rate, and drops them."""
        ...

    def evaluating(self) -> AbstractContextManager[None]:
        """Inside, the network is as it is evaluated."""
        ...


class Dense:
    """AdamW on parameters as they are: full fine-tuning, a head, biases, the matrices of `peft`."""

    def __init__(self, parameters: Sequence[nn.Parameter], *, learning_rate: float, clip: float = 1.0):
        self.parameters, self.learning_rate, self.clip = list(parameters), learning_rate, clip
        self.optimizer = torch.optim.AdamW(self.parameters, lr=learning_rate, weight_decay=0.0, fused=True)

    def sample(self) -> None:
        """Nothing to do."""

    def step(self, scale: float) -> None:
        """AdamW on clipped gradients. Raises `Diverged` where they are not finite."""
        if not bool(nn.utils.clip_grad_norm_(self.parameters, self.clip).isfinite()):
            raise Diverged("gradients")
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * scale
        self.optimizer.step()
        self.optimizer.zero_grad()

    def evaluating(self) -> AbstractContextManager[None]:
        """The network is what it is."""
        return nullcontext()


class Relaxed:
    """The first stage of diff pruning."""

    def __init__(self, relaxed: RelaxedDiff, *, learning_rate: float, gate_rate: float):
        self.relaxed, self.learning_rate, self.gate_rate = relaxed, learning_rate, gate_rate

    def sample(self) -> None:
        """One sample of the gates for all micro-batches of a step."""
        self.relaxed.sample()

    def step(self, scale: float) -> None:
        """The gates' learning rate stays as it is (Guo et al.'s code)."""
        self.relaxed.step(learning_rate=self.learning_rate * scale, gate_rate=self.gate_rate)

    def evaluating(self) -> AbstractContextManager[None]:
        """Gates without noise."""
        return self.relaxed.evaluating()


class Fixed:
    """Differences at fixed positions, the second stage of diff pruning and what any other choice of positions needs."""

    def __init__(self, fixed: FixedDiff, *, learning_rate: float):
        self.fixed, self._values = fixed, Dense([fixed.values], learning_rate=learning_rate)

    def sample(self) -> None:
        """Nothing to do."""

    def step(self, scale: float) -> None:
        """AdamW on the values at these positions."""
        self.fixed.gather()
        self._values.step(scale)
        self.fixed.scatter()

    def evaluating(self) -> AbstractContextManager[None]:
        """The network is what it is."""
        return nullcontext()


class Together:
    """Several adapters of one network, such as a difference to its encoder and a dense head."""

    def __init__(self, *adapters: Adapter):
        self.adapters = adapters

    def sample(self) -> None:
        """Each in turn."""
        for adapter in self.adapters:
            adapter.sample()

    def step(self, scale: float) -> None:
        """Each in turn, at its own learning rate."""
        for adapter in self.adapters:
            adapter.step(scale)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """All of them."""
        with ExitStack() as stack:
            for adapter in self.adapters:
                stack.enter_context(adapter.evaluating())
            yield

"""What a way to adapt an encoder is given, and what it gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..config import TextDiffSettings
from ..diff import Delta
from ..training.adapters import Adapter, Dense
from .encoder import TextClassifier


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a method is given besides the network.

    - `learning_rate`: of what it changes in the encoder; `head_rate`: of the head.
    - `rate`: fraction of the encoder's values that a sparse method changes.
    - `diff`: settings of diff pruning; `compiled`: whether its passes are compiled.
    - `steps`: all that a method has.
    - `metadata`: of the task, for files of deltas.
    - `train`: trains through an adapter for so many steps, on the batches that come next.
    - `each_gradient`: goes through some of the training examples, and calls a function after the backward pass of each.
    """

    learning_rate: float
    head_rate: float
    rate: float
    seed: int
    diff: TextDiffSettings
    compiled: bool
    steps: int
    metadata: Mapping[str, str]
    train: Callable[[Adapter, int], None]
    each_gradient: Callable[[Callable[[], None]], None]

    @property
    def first_steps(self) -> int:
        """Of a method that has two stages."""
        return max(1, round(self.diff.first_share * self.steps))


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """What came of it: how it is evaluated, how many values are a task's own, the size of their file, and what is in
    it where that is a sparse difference.
    """

    adapter: Adapter
    values: int
    bytes: int
    delta: Delta | None = None


def head_of(network: TextClassifier, setting: Setting) -> Dense:
    """Trains the head, as every method does."""
    return Dense([*network.head.parameters()], learning_rate=setting.head_rate)

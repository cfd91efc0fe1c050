"""The input and the result of a method that adapts an encoder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..config import TextDiffSettings
from ..diff import Delta
from ..training.adapters import Adapter, Dense
from .encoder import TextClassifier


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The settings and the training functions that a method gets besides the network.

    >>> setting = Setting(
    ...     learning_rate=5e-4, head_rate=1e-3, rate=0.005, seed=0, diff=TextDiffSettings(first_share=0.4),
    ...     compiled=False, steps=100, metadata={}, train=lambda adapter, steps: None, each_gradient=lambda after: None,
    ... )
    >>> setting.first_steps
    40

    - `learning_rate`: the learning rate of what the method changes in the encoder.
    - `head_rate`: the learning rate of the head.
    - `rate`: the fraction of the encoder's values that a sparse method changes.
    - `seed`: the seed of the method's own random choices.
    - `diff`: the settings of diff pruning.
    - `compiled`: whether the passes of diff pruning are compiled.
    - `steps`: the number of training steps of all stages together.
    - `metadata`: the metadata of the task, for files of deltas.
    - `train`: trains through an adapter for a number of steps, on the next batches.
    - `each_gradient`: goes through some training examples, and calls a function after the backward pass of each.
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
        """The number of steps in the first of two stages."""
        return max(1, round(self.diff.first_share * self.steps))


@dataclass(frozen=True, kw_only=True)
class AdaptedEncoder:
    """The result of a method: a network adapted to one task.

    >>> from torch import nn
    >>> head = nn.Linear(4, 2)
    >>> AdaptedEncoder(adapter=Dense([*head.parameters()], learning_rate=1e-3), values=10, bytes=128).values
    10

    - `adapter`: the adapter that the network is evaluated with.
    - `values`: the number of values that are the task's own, the head included.
    - `bytes`: the size of the file of these values.
    - `delta`: the content of the file if it is a sparse difference.
    """

    adapter: Adapter
    values: int
    bytes: int
    delta: Delta | None = None


def head_of(network: TextClassifier, setting: Setting) -> Dense:
    """Return the adapter that trains the head. Every method uses it."""
    return Dense([*network.head.parameters()], learning_rate=setting.head_rate)

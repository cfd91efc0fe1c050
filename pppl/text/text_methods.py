"""The registry of methods that adapt one encoder to many tasks.

A method is a function. It trains a network in place and returns what is the task's own. Each task has its own head,
and every method trains it. All methods train for the same number of steps, in one stage or in two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from ..system.registries import Registry
from .encoder import TextClassifier
from .setting import AdaptedEncoder, Setting

Adapt = Callable[[TextClassifier, Setting], AdaptedEncoder]
Check = Callable[[nn.Module, float], object]


def _accept(encoder: nn.Module, rate: float) -> None:
    """Accept every encoder and rate."""


@dataclass(frozen=True)
class TextMethod:
    """A method that adapts a text encoder. `register_text_method` describes the fields."""

    adapt: Adapt
    learning_rate: float
    reads: tuple[str, ...]
    check: Check


TEXT_METHODS: Registry[TextMethod] = Registry("text method")


def register_text_method(
    name: str, *, learning_rate: float, reads: Sequence[str] = (), check: Check = _accept
) -> Callable[[Adapt], Adapt]:
    """Return a decorator that registers a function as a method that adapts a text encoder.

    ```python
    @register_text_method("embeddings", learning_rate=1e-3)
    def embeddings(network: TextClassifier, setting: Setting) -> AdaptedEncoder:
        return train_chosen(network, setting, lambda name: name.startswith("embeddings."))
    ```

    **Arguments:**

    - `learning_rate`: the method's own learning rate. Experiments search multiples of it.
    - `reads`: the fields of `TextDiffSettings` that the method reads. Its rows depend on these only.
    - `check`: gets the encoder and the rate, and raises `UserError` if the method cannot adapt it. It runs before any
      training.

    Raise `UserError` if the name is taken.
    """

    def add(function: Adapt) -> Adapt:
        TEXT_METHODS.add(name, TextMethod(function, learning_rate, tuple(reads), check), made_by=function)
        return function

    return add

"""The interface of all tasks, and their registry."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVar, cast

from torch import Tensor

from ..data import IdentityDataset
from ..system.errors import UserError
from ..system.plugins import load_plugins
from ..system.registries import Registry, place
from ..tables.metric import METRICS, Metric


class Task(ABC):
    """What a network is for.

    >>> import torch
    >>> from pppl.tasks import TASKS
    >>> task, logits = TASKS["classification"], torch.tensor([[2.0, 0.0], [1.0, 3.0]])
    >>> task.score(logits, torch.tensor([0, 0]))["accuracy"]
    0.5

    Outputs are `(B, K)`: what a network returns for a batch. Targets are what a data set holds for each sample.

    - `name`: the name under which it is registered, and that `IdentityDataset.task` has.
    - `metrics`: the first one is the headline; tables hold it as `score`, and no other.
    - `offers`: what a method may ask for: `classes`, if outputs are logits of classes.

    A subclass defines `metrics`, `outputs`, `loss`, `score` and `divergence`. Targets reach its loss as the data set
    holds them; those of a `Regression` are standardized.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    offers: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def outputs(self, dataset: IdentityDataset) -> int:
        """Return how many outputs a network for this data has."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a batch, `()`."""

    @abstractmethod
    def score(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return every metric of some samples by its name."""

    @abstractmethod
    def divergence(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Return how far outputs are from those of a teacher, `()`, the loss of distillation."""

    def predict(self, outputs: Tensor) -> Tensor:
        """Return predictions in the form of targets: the outputs themselves."""
        return outputs

    def total_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of the loss over a batch, `()`."""
        return self.loss(outputs, targets) * len(targets)

    def evidence(self, outputs: Tensor) -> Tensor:
        """Return what gates see of the full network's outputs, `(B, K)`: the outputs themselves."""
        return outputs

    def labels(self, targets: Tensor) -> Tensor | None:
        """Return which samples of a batch belong together, `(B,)` integers, or None.

        Their gates are drawn together by the prototype loss, which is left out without labels.
        """
        return None

    def progress(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return means over a batch that are logged while a network is trained, beside its loss."""
        return {}

    def chance(self, dataset: IdentityDataset) -> float | None:
        """Return the score of a network that has learnt nothing; None if it is not known."""
        return None


TASKS: Registry[Task] = Registry("task")
_KNOWN = frozenset(METRICS)  # metrics that no task changes
Kind = TypeVar("Kind", bound=type[Task])


def register_task(name: str) -> Callable[[Kind], Kind]:
    """Return a decorator that adds a `Task` class. A data set asks for it by `IdentityDataset.task`.

    ```python
    @register_task("ranking")
    class Ranking(Task): ...
    ```

    Raise `UserError` if the name is taken, or if the class lacks a method that it must have.
    """

    def add(kind: Kind) -> Kind:
        TASKS.check(name, kind, Task)
        if not getattr(kind, "metrics", ()):
            raise UserError(f"task {name!r} ({place(kind)}) lacks metrics: name one or more, the headline first")
        kind.name = name
        TASKS.add(name, cast(Task, kind()), made_by=kind)
        METRICS.update({metric.name: metric for metric in kind.metrics if metric.name not in _KNOWN})
        return kind

    return add


def task_of(dataset: IdentityDataset) -> Task:
    """Return the task of a data set. Raise `UserError` if it is not registered."""
    load_plugins(())
    return TASKS.find(dataset.task)

"""Batches of synthetic persons: support sets, samples to classify, and budgets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data import IdentityDataset
from ..data.datamodule import Batches
from ..system.errors import UserError


class PersonBatch(NamedTuple):
    """P persons with Q samples each.

    - `x`, `y`: `(P * Q, C, ...)` and `(P * Q,)`, person by person.
    - `support`: `(n,)`, rows of the data set, of all persons.
    - `person`, `half`: `(n,)`, whose support each is, and which half of it, 0 or 1.
    - `budgets`: `(P,)`.
    - `label`: `(P,)`, the same number for the same person, who may be drawn twice.
    """

    x: Tensor
    y: Tensor
    support: Tensor
    person: Tensor
    half: Tensor
    budgets: Tensor
    label: Tensor


class PersonBatches:
    """Iterates over batches of persons that are drawn from some rows as `draw_persons` draws them: a person, some of
    their classes, `shots` samples of each as support, others as what is to be classified.

    **Arguments:**

    - `dataset`: on the device that batches are wanted on.
    - `rows`: `(n,)`, the samples that persons are made of.
    - `by_people`: whether each is one of the data set's people, where they have two samples of a class.
    - `sizes`: numbers of classes that a person may have, each as likely; 0 for all.
    - `persons`, `queries`, `shots`: of a batch, of a person, and of a class.
    - `budgets`: the least and the most.
    - `count`: batches of a pass.
    - `again`: whether every pass has the same persons.

    Raises `UserError` where no class has two samples.
    """

    def __init__(
        self,
        dataset: IdentityDataset,
        rows: np.ndarray,
        *,
        by_people: bool,
        sizes: Sequence[int],
        persons: int,
        queries: int,
        shots: int,
        budgets: tuple[float, float],
        count: int,
        seed: int,
        augment: Sequence[str] = (),
        again: bool = False,
    ):
        self.dataset, self.sizes, self.persons, self.queries, self.shots = dataset, sizes, persons, queries, shots
        self.budgets, self.count, self.seed, self.again = np.log(budgets), count, seed, again
        self.rng = np.random.default_rng(seed)
        self._inputs = Batches(dataset, torch.from_numpy(rows), persons * queries, seed=seed, augment=augment)
        nobody, labels = np.zeros(len(rows), np.int64), dataset.to("cpu").strata[rows]
        whose = dataset.identity[rows] if by_people and dataset.identity is not None else nobody
        self._cells = _cells(rows, whose, labels) or _cells(rows, nobody, labels)
        if not self._cells:
            raise UserError(
                f"{dataset.name} has no class with two samples to make persons of: set ppp.training to samples"
            )

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[PersonBatch]:
        if self.again:
            self.rng = np.random.default_rng(self.seed)
        for _ in range(self.count):
            yield self._batch()

    def _batch(self) -> PersonBatch:
        drawn = [self._draw() for _ in range(self.persons)]
        sizes = [len(support) for support, *_ in drawn]
        names = [name for *_, name in drawn]
        half = np.concatenate([self.rng.permutation(size) % 2 for size in sizes])
        budgets = np.exp(self.rng.uniform(self.budgets[0], self.budgets[1], self.persons)).astype(np.float32)
        x, y = self._inputs.of(self._on_device(np.concatenate([queries for _, queries, _ in drawn])))
        return PersonBatch(
            x,
            y,
            support=self._on_device(np.concatenate([support for support, *_ in drawn])),
            person=self._on_device(np.repeat(np.arange(self.persons), sizes)),
            half=self._on_device(half),
            budgets=self._on_device(budgets),
            label=self._on_device(np.array([names.index(name) for name in names])),
        )

    def _draw(self) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
        """Rows of a person's support set, and of what is to be classified; who it is, and with which classes."""
        who = int(self.rng.integers(len(self._cells)))
        cells = self._cells[who]
        size = self.sizes[int(self.rng.integers(len(self.sizes)))]
        own = [*cells]
        classes = own if size == 0 else self.rng.choice(own, min(size, len(own)), replace=False).tolist()
        each = -(-self.queries // len(classes))
        support, others = [], []
        for rows in (cells[c] for c in classes):
            shots = min(self.shots, len(rows) - 1)
            chosen = rows[self.rng.choice(len(rows), min(len(rows), shots + each), replace=False)]
            support.append(chosen[:shots])
            others.append(chosen[shots:])
        pool = np.concatenate(others)
        queries = self.rng.choice(pool, self.queries, replace=len(pool) < self.queries)
        return np.concatenate(support), queries, (who, *sorted(classes))

    def _on_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.dataset.x.device)


def _cells(rows: np.ndarray, whose: np.ndarray, labels: np.ndarray) -> list[Mapping[int, np.ndarray]]:
    """Of each of the people, rows by class, where there are at least two, for support and for classifying."""
    people = []
    for who in np.unique(whose):
        own = {int(c): rows[(whose == who) & (labels == c)] for c in np.unique(labels[whose == who])}
        if usable := {c: of_class for c, of_class in own.items() if len(of_class) >= 2}:
            people.append(usable)
    return people

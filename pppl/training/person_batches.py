"""Batches of synthetic persons: support sets, samples to classify, and budgets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data import IdentityDataset
from ..data.datamodule import Batches
from ..data.person_changes import PERSON_CHANGES
from ..system.errors import UserError


class PersonBatch(NamedTuple):
    """A batch of P persons with Q samples to classify each.

    - `x`, `y`: `(P * Q, C, ...)` and `(P * Q,)`, samples to classify and their targets, person by person.
    - `support`: `(n,)`, rows of the data set that are the support sets of all persons.
    - `person`: `(n,)`, index of the person whose support set a row belongs to, 0 to P - 1.
    - `half`: `(n,)`, which half of the support set it belongs to, 0 or 1.
    - `budgets`: `(P,)`, fractions of the full network's cost.
    - `label`: `(P,)`, a number for each different person; a person who is drawn twice has it twice.
    - `changed`: `(n, C, ...)`, the samples of the support sets, if persons keep random changes; else None.
    """

    x: Tensor
    y: Tensor
    support: Tensor
    person: Tensor
    half: Tensor
    budgets: Tensor
    label: Tensor
    changed: Tensor | None = None


class PersonBatches:
    """An iterable of batches of synthetic persons, drawn as `draw_persons` draws them.

    A person is drawn, then some of their classes, `shots` samples of each class as the support set, and other samples
    to classify.

    **Arguments:**

    - `dataset`: the data set, on the device of the batches.
    - `rows`: `(n,)`, the rows of the data set that persons are made of.
    - `by_people`: whether a person is one of the data set's people, of those with two samples of a class. If there are
      none, persons are subsets of the classes.
    - `sizes`: numbers of classes that a person may have, equally likely; 0 for all.
    - `persons`: persons per batch.
    - `queries`: samples to classify per person.
    - `shots`: support samples per class.
    - `budgets`: least and largest budget.
    - `count`: batches per pass.
    - `again`: whether every pass has the same persons.

    Raise `UserError` if no class has two samples.
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
        self._changes = any(name in PERSON_CHANGES for name in augment)
        self._inputs = Batches(dataset, torch.from_numpy(rows), persons * queries, seed=seed, augment=augment)
        nobody, labels = np.zeros(len(rows), np.int64), dataset.to("cpu").strata[rows]
        people = dataset.identity[rows] if by_people and dataset.identity is not None else nobody
        self._cells = _cells(rows, people, labels) or _cells(rows, nobody, labels)
        if not self._cells:
            raise UserError(
                f"no class of {dataset.name} has two samples, so no persons can be drawn: set ppp.training to samples"
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
        queries = self._on_device(np.concatenate([queries for _, queries, _ in drawn]))
        support = self._on_device(np.concatenate([support for support, *_ in drawn]))
        person = self._on_device(np.repeat(np.arange(self.persons), sizes))
        asked = self._on_device(np.repeat(np.arange(self.persons), self.queries))
        if self._changes:
            both, y = self._inputs.of(torch.cat([queries, support]), torch.cat([asked, person]))
            (x, changed), y = both.split([len(queries), len(support)]), y[: len(queries)]
        else:
            (x, y), changed = self._inputs.of(queries), None
        return PersonBatch(
            x,
            y,
            support=support,
            person=person,
            half=self._on_device(half),
            budgets=self._on_device(budgets),
            label=self._on_device(np.array([names.index(name) for name in names])),
            changed=changed,
        )

    def _draw(self) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
        """Return the rows of a person's support set, the rows to classify, and the person's index and classes."""
        person = int(self.rng.integers(len(self._cells)))
        cells = self._cells[person]
        size = self.sizes[int(self.rng.integers(len(self.sizes)))]
        own = [*cells]
        classes = own if size == 0 else self.rng.choice(own, min(size, len(own)), replace=False).tolist()
        queries_per_class = -(-self.queries // len(classes))
        support, candidates = [], []
        for rows in (cells[c] for c in classes):
            shots = min(self.shots, len(rows) - 1)
            chosen = rows[self.rng.choice(len(rows), min(len(rows), shots + queries_per_class), replace=False)]
            support.append(chosen[:shots])
            candidates.append(chosen[shots:])
        pool = np.concatenate(candidates)
        queries = self.rng.choice(pool, self.queries, replace=len(pool) < self.queries)
        return np.concatenate(support), queries, (person, *sorted(classes))

    def _on_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.dataset.x.device)


def _cells(rows: np.ndarray, people: np.ndarray, labels: np.ndarray) -> list[Mapping[int, np.ndarray]]:
    """Return the rows of each person by class, with classes of at least two rows: one for support, one to classify."""
    cells = []
    for person in np.unique(people):
        own = {int(c): rows[(people == person) & (labels == c)] for c in np.unique(labels[people == person])}
        if usable := {c: class_rows for c, class_rows in own.items() if len(class_rows) >= 2}:
            cells.append(usable)
    return cells

"""Who a person is: which samples support the personalization, and which ones query it."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..config import Persons
from ..errors import UserError

TRAIN, VALIDATION, TEST = 0, 1, 2
_SPLITS = {"validation": VALIDATION, "test": TEST}


@dataclass(frozen=True, kw_only=True)
class IdentityDataset:
    """A labelled data set, held in memory.

    **Arguments:**

    - `x`: `(N, C, H, W)` or `(N, C, T)`, float32.
    - `y`: `(N,)` class indices, int64.
    - `classes`: the class names.
    - `split`: `(N,)`, 0 train, 1 validation, 2 test.
    """

    name: str
    x: Tensor
    y: Tensor
    classes: tuple[str, ...]
    split: np.ndarray

    def rows(self, split: int) -> np.ndarray:
        """Indices of the samples of a split."""
        return np.flatnonzero(self.split == split)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, `(C, H, W)` or `(C, T)`."""
        return tuple(self.x.shape[1:])

    @cached_property
    def sha256(self) -> str:
        """Hash of samples, labels and split: the data's identity in caches and in `run.json`."""
        digest = hashlib.sha256()
        for array in (self.x.numpy(), self.y.numpy(), self.split):
            digest.update(str((array.shape, array.dtype)).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Support:
    """The samples that a personalizer sees.

    - `x`: `(N, C, ...)` inputs.
    - `y`: `(N,)` labels; PPP and OCAP never read them.
    - `seed`: for the personalizer's own random choices.
    """

    x: Tensor
    y: Tensor
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.x) == 0:
            raise UserError("the support set has no samples: give at least one sample of the person")
        if len(self.x) != len(self.y):
            raise UserError(f"the support set has {len(self.x)} samples but {len(self.y)} labels")

    def to(self, device: torch.device | str) -> "Support":
        """The same support set on `device`."""
        return Support(x=self.x.to(device), y=self.y.to(device), seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person: rows of the data set for support (training split) and query (a held-out split).

    - `persons`: the protocol, as in the table: `2 classes`.
    - `seen`: whether other samples of this person were in training.
    - `seed`: for random choices made for this person.
    """

    identity: str
    persons: str
    seen: bool
    support: np.ndarray
    query: np.ndarray
    seed: int

    def support_of(self, dataset: IdentityDataset) -> Support:
        """The support set's samples."""
        return Support(x=dataset.x[self.support], y=dataset.y[self.support], seed=self.seed)


def draw_persons(dataset: IdentityDataset, persons: Persons, size: int, seed: int) -> list[Person]:
    """Draws `persons.count` different subsets of `size` classes, each with its support and query rows.

    Support comes from the training split, `shots` per class; query is every row of the person's classes in the query
    split. The draw depends on `seed` and `size` only.

    Raises `UserError` where there are fewer subsets than persons, or fewer training samples than shots.
    """
    labels = dataset.y.numpy()
    subsets = _class_subsets(len(dataset.classes), size, persons.count, seed)
    training, held_out = dataset.rows(TRAIN), dataset.rows(_SPLITS[persons.query])
    drawn = []
    for subset in subsets:
        # Independent of how many other persons are drawn.
        person_seed = int(np.random.SeedSequence([seed, size, *subset]).generate_state(1)[0])
        rng = np.random.default_rng(person_seed)
        support = [_shots(training[labels[training] == c], persons.shots, dataset, c, rng) for c in subset]
        drawn.append(
            Person(
                identity="+".join(dataset.classes[c] for c in subset),
                persons=f"{size} classes",
                seen=True,
                support=np.concatenate(support),
                query=held_out[np.isin(labels[held_out], subset)],
                seed=person_seed,
            )
        )
    return drawn


def _class_subsets(classes: int, size: int, count: int, seed: int) -> list[tuple[int, ...]]:
    from math import comb

    possible = comb(classes, size)
    if possible < count:
        raise UserError(
            f"persons.count is {count}, but {classes} classes have only {possible} subsets of {size}: "
            f"lower persons.count to {possible} or change persons.classes"
        )
    rng = np.random.default_rng([seed, size])
    subsets: dict[tuple[int, ...], None] = {}
    while len(subsets) < count:
        subsets[tuple(sorted(rng.choice(classes, size, replace=False).tolist()))] = None
    return list(subsets)


def _shots(rows: np.ndarray, shots: int, dataset: IdentityDataset, label: int, rng: np.random.Generator) -> np.ndarray:
    if len(rows) < shots:
        raise UserError(
            f"persons.shots is {shots}, but class {dataset.classes[label]!r} of {dataset.name} has only {len(rows)} "
            f"training samples: lower persons.shots"
        )
    return rng.choice(rows, shots, replace=False)

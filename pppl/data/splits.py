"""Splits into training, validation and test samples: the source's own split, or one drawn by seed."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..config import DataSettings, PersonSettings
from ..system.errors import UserError
from .identities import FAR, TEST, TRAIN, VALIDATION, IdentityDataset

# Shares held out for validation and for testing.
_OF_ROWS = (0.15, 0.25)  # of the samples of a class, if persons are class subsets
_OF_PEOPLE = (0.15, 0.2)  # of the people, who are then unseen
_OF_A_PERSON = (0.1, 0.2)  # of a seen person's samples of a class; validation rows come from what testing leaves
# Validation rows taken from the training rows if a source has none: this share, at most this many. With 2,000 rows the
# standard error of an accuracy is below 1.2 points.
_OF_TRAINING, _MOST_VALIDATION = 0.1, 2000
_ROUNDING = float(np.finfo(np.float32).eps)


class TooFewPersons(UserError):
    """The data set has too few people, or too few samples per person, for the requested persons."""


def resolve_protocol(persons: PersonSettings, dataset: IdentityDataset) -> PersonSettings:
    """Replace the protocol `auto`: `person+classes` for data with person labels, else `classes`.

    >>> from pppl.config import PersonSettings
    >>> from pppl.data import load_dataset, resolve_protocol
    >>> resolve_protocol(PersonSettings(protocol="auto"), load_dataset("digits")).protocol
    'classes'
    """
    if not dataset.classes:
        return _without_classes(persons, dataset)
    if persons.protocol != "auto":
        return persons
    return dataclasses.replace(persons, protocol="classes" if dataset.identity is None else "person+classes")


def _without_classes(persons: PersonSettings, dataset: IdentityDataset) -> PersonSettings:
    if persons.protocol not in ("auto", "person"):
        raise UserError(f"{dataset.name} has no classes, and persons.protocol is {persons.protocol}: set it to person")
    if dataset.identity is None:
        raise UserError(f"{dataset.name} has neither classes nor people: add identity, the person of each sample")
    return dataclasses.replace(persons, protocol="person")


def split_for(dataset: IdentityDataset, persons: PersonSettings, seed: int) -> IdentityDataset:
    """Return the data set with the split of one seed, standardized by the training rows of that split.

    Samples of one recording stay together. A data set that is `standardized` keeps its scale and offset.

    If persons are people, those without training rows are *unseen* and the others are *seen*. If the source holds back
    no samples of the seen people, this function holds back some of each of their classes. Validation rows are drawn by
    `seed`. Test rows of a source with a split are the same for all seeds: no seed tests on rows that another seed tunes
    on.

    If there are no validation rows, a tenth of each class's training rows is used, about 2,000 rows in total at most.

    With `persons.folds`, people are held out in turn. Over the seeds 0 to `folds - 1` everybody is unseen once, and
    over the next `folds` seeds once again, in other folds.

    **Arguments:**

    - `persons`: its `split` selects the source's own split (`official`) or one drawn by `seed` (`random`). A source
      without a split always gets one drawn. Rows that one drawn split tunes on may be test rows of another.

    Raise `TooFewPersons` if there are too few people to hold some back, and `UserError` if no row can be held back.

    >>> from pppl.config import PersonSettings
    >>> from pppl.data import load_dataset, split_for
    >>> dataset = split_for(load_dataset("digits"), PersonSettings(split="random"), seed=0)
    >>> [len(dataset.rows(split)) for split in (TRAIN, VALIDATION, TEST)]
    [1078, 269, 450]
    """
    persons = resolve_protocol(persons, dataset)
    by_people = persons.protocol != "classes"
    official = dataset.split if persons.split == "official" and not persons.folds else None
    if official is not None:
        split = official.copy()
    elif by_people:
        split = _fold_split(dataset, persons.folds, seed) if persons.folds else _people_split(dataset, seed)
    else:
        split = _cell_split(dataset, np.arange(len(dataset.y)), dataset.strata, _OF_ROWS, seed)
    if by_people:
        _hold_back(dataset, split, TEST, seed=seed if official is None else 0)
        _hold_back(dataset, split, VALIDATION, seed=seed)
    if not (split == VALIDATION).any():
        rows = np.flatnonzero(split == TRAIN)
        share = min(_OF_TRAINING, _MOST_VALIDATION / len(rows))
        split[rows] = _cell_split(dataset, rows, dataset.strata[rows], (share, 0.0), seed=0)
    for part, name in ((VALIDATION, "validation"), (TEST, "test")):
        if not (split == part).any():
            raise UserError(f"{dataset.name} has no {name} samples, and too few of each class to hold some back")
    split_dataset = dataclasses.replace(dataset, split=split)
    return split_dataset if dataset.standardized else _standardized(split_dataset)


def standardize_targets(dataset: IdentityDataset) -> IdentityDataset:
    """Return a split data set whose numeric targets have mean 0 and variance 1 over the training rows.

    ```python
    dataset = standardize_targets(split_for(load_dataset("regression.npz"), PersonSettings(), seed=0))
    ```
    """
    values = dataset.y[torch.from_numpy(dataset.rows(TRAIN))].double()  # (n, D)
    scale = values.std(0, correction=0)
    scale = torch.where(scale > _ROUNDING * values.mean(0).abs(), scale, 1.0)
    return dataclasses.replace(dataset, target_scale=scale.float(), target_offset=values.mean(0).float())


def _people_split(dataset: IdentityDataset, seed: int) -> np.ndarray:
    """Split by people, `(N,)` uint8: each is in one part only, at least two in the test rows.

    Raise `TooFewPersons` if there are fewer than 5 people.
    """
    identity = identity_of(dataset)
    people = np.unique(identity)
    if len(people) < 5:
        raise TooFewPersons(
            f"{dataset.name} has {len(people)} people: holding some back takes at least 5, or 3 who are held out in "
            "turn (persons.folds)"
        )
    people = np.random.default_rng([seed, 0]).permutation(people)
    validation, test = (max(least, round(s * len(people))) for least, s in zip((1, 2), _OF_PEOPLE, strict=True))
    split = np.full(len(dataset.y), TRAIN, np.uint8)
    split[np.isin(identity, people[:test])] = TEST
    split[np.isin(identity, people[test : test + validation])] = VALIDATION
    return split


def _fold_split(dataset: IdentityDataset, folds: int, seed: int) -> np.ndarray:
    """Split by folds of people, `(N,)` uint8: one fold is for testing, a part of the next one for validation.

    Raise `TooFewPersons` if there are fewer people than folds, or nobody is left to train on.
    """
    identity = identity_of(dataset)
    people = np.unique(identity)
    if len(people) < folds:
        raise TooFewPersons(
            f"persons.folds is {folds}, but {dataset.name} has {len(people)} people: lower it to {len(people)} or less"
        )
    parts = np.array_split(np.random.default_rng([seed // folds, 2]).permutation(people), folds)
    test, following = parts[seed % folds], parts[(seed + 1) % folds]
    validation = following[: max(1, round(_OF_PEOPLE[0] * len(people)))]
    split = np.full(len(dataset.y), TRAIN, np.uint8)
    split[np.isin(identity, validation)] = VALIDATION
    split[np.isin(identity, test)] = TEST
    if not (split == TRAIN).any():
        raise TooFewPersons(
            f"{dataset.name} has {len(people)} people: with {folds} folds nobody is left to train on; take more folds"
        )
    return split


def _hold_back(dataset: IdentityDataset, split: np.ndarray, part: int, *, seed: int) -> None:
    """Move training rows of seen people to `part` of `split`, in place, if seen people have no rows there yet."""
    identity = identity_of(dataset)
    seen = np.isin(identity, np.unique(identity[split == TRAIN]))
    if (seen & (split == part)).any():
        return
    share = _OF_A_PERSON[part - VALIDATION]
    rows = np.flatnonzero(split == TRAIN)
    cells = identity[rows] * dataset.strata_count + dataset.strata[rows]
    split[rows] = _cell_split(dataset, rows, cells, (share, 0.0) if part == VALIDATION else (0.0, share), seed)


def _cell_split(
    dataset: IdentityDataset, rows: np.ndarray, cells: np.ndarray, shares: tuple[float, float], seed: int
) -> np.ndarray:
    """Split rows at random within each cell and return their parts, `(n,)` uint8.

    A share above 0 gets at least one recording, but one recording of each cell always stays in training. If the data
    set has no recordings, each sample counts as one.

    **Arguments:**

    - `cells`: `(n,)`, the cell of each row, such as its class.
    - `shares`: shares of each cell for validation and for testing.
    """
    alone = np.arange(len(rows)) if dataset.recording is None else dataset.recording[rows]
    _, first, whole = np.unique(alone, return_index=True, return_inverse=True)
    split = np.full(len(first), TRAIN, np.uint8)
    for each in _shuffled_cells(cells[first], np.random.default_rng([seed, 1])):
        validation, test = (max(1, round(share * len(each))) if share else 0 for share in shares)
        test = min(test, len(each) - 1)
        validation = min(validation, len(each) - test - 1)
        split[each[:test]] = TEST
        split[each[test : test + validation]] = VALIDATION
    return split[whole]


def _shuffled_cells(cells: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the members of each cell, as indices in random order."""
    order = rng.permutation(len(cells))
    order = order[np.argsort(cells[order], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(cells[order])) + 1)


def identity_of(dataset: IdentityDataset) -> np.ndarray:
    """Return the person index of each sample, `(N,)`. Raise `UserError` if the data set has no person labels."""
    if dataset.identity is None:
        raise UserError(f"{dataset.name} has no person labels: use --persons.protocol classes")
    return dataset.identity


def _standardized(dataset: IdentityDataset) -> IdentityDataset:
    """Set scale and offset such that each channel has mean 0 and variance 1 over the training rows."""
    channels = dataset.x.shape[1]
    count, total, squares = 0, torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
    for values in _chunks(dataset.x, dataset.rows(TRAIN)):
        count += values.shape[1]
        total += values.sum(1)
        squares += values.square().sum(1)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
    if (far := mean.abs() > FAR * deviation).any():  # the difference of two large numbers above has lost digits
        squares.zero_()
        for values in _chunks(dataset.x, dataset.rows(TRAIN)):
            squares += (values - mean[:, None]).square().sum(1)
        deviation = torch.where(far, (squares / count).sqrt(), deviation)
    # A constant channel, such as that of a dead sensor, has only rounding noise, which must not be amplified.
    alive = deviation > _ROUNDING * mean.abs()
    scale = torch.where(alive, 1 / deviation, 1.0)
    center = torch.where(far & alive, mean.float().double(), 0.0)
    return dataclasses.replace(
        dataset,
        scale=scale.float(),
        offset=(-(mean - center) * scale).float(),
        center=center.float() if center.any() else None,
        standardized=True,
    )


def _chunks(x: Tensor, rows: np.ndarray, size: int = 2048) -> Iterator[Tensor]:
    """Yield the stored values of `size` samples at a time, `(C, n)` float64."""
    for chunk in torch.from_numpy(rows).split(size):
        yield x[chunk].double().transpose(0, 1).flatten(1)


def limit(dataset: IdentityDataset, data: DataSettings) -> IdentityDataset:
    """Return a part of the data set for a quick look.

    It has the first `data.classes` classes, the `data.people` people with the most samples, and at most `data.samples`
    random samples of each combination of class, split and person. A setting of 0 sets no limit.

    Raise `UserError` if the data set has fewer classes or people than requested.

    >>> from pppl.config import DataSettings
    >>> from pppl.data import limit, load_dataset
    >>> small = limit(load_dataset("digits"), DataSettings(classes=3, samples=20))
    >>> small.classes, len(small.y)
    (('0', '1', '2'), 180)
    """
    rows, rng = np.arange(len(dataset.y)), np.random.default_rng(0)
    labels = dataset.strata
    if data.classes:
        _at_most(data.classes, len(dataset.classes), "classes", dataset.name)
        rows = rows[labels[rows] < data.classes]
        dataset = dataclasses.replace(dataset, classes=dataset.classes[: data.classes])
    if data.people:
        people, counts = np.unique(identity_of(dataset)[rows], return_counts=True)
        _at_most(data.people, len(people), "people", dataset.name)
        most = people[np.argsort(-counts, kind="stable")[: data.people]]
        rows = rows[np.isin(identity_of(dataset)[rows], most)]
    if data.samples:
        parts = [part[rows] for part in (labels, dataset.split, dataset.identity) if part is not None]
        cells = np.unique(np.stack(parts), axis=1, return_inverse=True)[1]
        kept = [members[: data.samples] for members in _shuffled_cells(cells, rng)]
        rows = np.sort(rows[np.concatenate(kept)])
    if len(rows) == len(labels):
        return dataset
    return dataclasses.replace(
        dataset,
        x=dataset.x[torch.from_numpy(rows)],
        y=dataset.y[torch.from_numpy(rows)],
        split=None if dataset.split is None else dataset.split[rows],
        identity=None if dataset.identity is None else dataset.identity[rows],
        recording=None if dataset.recording is None else dataset.recording[rows],
    )


def _at_most(asked: int, there: int, what: str, name: str) -> None:
    if asked > there:
        raise UserError(f"data.{what} is {asked}, but {name} has {there}: lower it, or leave it out for all")

"""Which samples train, validate and test: the source's own split, or one drawn by seed."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..config import DataSettings, PersonSettings
from ..system.errors import UserError
from .identities import FAR, TEST, TRAIN, VALIDATION, IdentityDataset

# Shares of what is held out, for validation and for testing; of a person's, the validation's is of what is left.
_OF_ROWS = (0.15, 0.25)  # of a class, where persons are classes
_OF_PEOPLE = (0.15, 0.2)  # of the people: unseen persons
_OF_A_PERSON = (0.1, 0.2)  # of a seen person's samples of a class
# Of the training rows of a source without validation rows. With 2,000 an accuracy has a standard error below 1 point.
_OF_TRAINING, _MOST_VALIDATION = 0.1, 2000
_ROUNDING = float(np.finfo(np.float32).eps)


class TooFewPersons(UserError):
    """The data set has not enough people, or samples of them, for the persons that are asked for."""


def resolve_protocol(persons: PersonSettings, dataset: IdentityDataset) -> PersonSettings:
    """With `auto` replaced: people with some classes where the data set knows whose its samples are, else classes."""
    if persons.protocol != "auto":
        return persons
    return dataclasses.replace(persons, protocol="classes" if dataset.identity is None else "person+classes")


def split_for(dataset: IdentityDataset, persons: PersonSettings, seed: int) -> IdentityDataset:
    """The data set as one seed sees it: split, and standardized by the training rows of that split.

    With `persons.folds` people are held out by turns: in the seeds from 0 to `folds - 1` everybody is unseen once, and
    again in the next so many. Samples of one recording stay together.

    Where persons are people, those without training rows are *unseen*. The others are *seen*, and where the source
    holds back nothing of theirs, a part of their samples of each class is held back here: for validation by `seed`, for
    testing always the same where the source has a split, so that what one seed tunes on no other seed tests on. Without
    validation rows a tenth of each class's training rows become that, or as many as make 2,000 where that is less.

    **Arguments:**

    - `persons`: its `split` says whether the source's own split is respected or another one drawn by `seed`; a source
      without a split always has one drawn. What is tuned on one drawn split may be tested on in another.

    Raises `TooFewPersons` where there are too few people to hold some back, `UserError` where no row can be held back.
    """
    persons = resolve_protocol(persons, dataset)
    by_people = persons.protocol != "classes"
    official = dataset.split if persons.split == "official" and not persons.folds else None
    if official is not None:
        split = official.copy()
    elif by_people:
        split = _fold_split(dataset, persons.folds, seed) if persons.folds else _people_split(dataset, seed)
    else:
        split = _cell_split(dataset, np.arange(len(dataset.y)), dataset.y.numpy(), _OF_ROWS, seed)
    if by_people:
        _hold_back(dataset, split, TEST, seed=seed if official is None else 0)
        _hold_back(dataset, split, VALIDATION, seed=seed)
    if not (split == VALIDATION).any():
        rows = np.flatnonzero(split == TRAIN)
        share = min(_OF_TRAINING, _MOST_VALIDATION / len(rows))
        split[rows] = _cell_split(dataset, rows, dataset.y.numpy()[rows], (share, 0.0), seed=0)
    for part, name in ((VALIDATION, "validation"), (TEST, "test")):
        if not (split == part).any():
            raise UserError(f"{dataset.name} has no {name} samples, and too few of each class to hold some back")
    split_dataset = dataclasses.replace(dataset, split=split)
    return split_dataset if dataset.standardized else _standardized(split_dataset)


def _people_split(dataset: IdentityDataset, seed: int) -> np.ndarray:
    """A split in which some people are in the test or the validation rows only; two at least are in the test rows."""
    identity = identity_of(dataset)
    people = np.unique(identity)
    if len(people) < 5:
        raise TooFewPersons(f"{dataset.name} has {len(people)} people: holding some back takes at least 5")
    people = np.random.default_rng([seed, 0]).permutation(people)
    validation, test = (max(least, round(s * len(people))) for least, s in zip((1, 2), _OF_PEOPLE, strict=True))
    split = np.full(len(dataset.y), TRAIN, np.uint8)
    split[np.isin(identity, people[:test])] = TEST
    split[np.isin(identity, people[test : test + validation])] = VALIDATION
    return split


def _fold_split(dataset: IdentityDataset, folds: int, seed: int) -> np.ndarray:
    """A split in which one fold of the people is in the test rows, and some of the next in the validation rows.

    Raises `TooFewPersons` where there are fewer people than folds, or nobody is left to train on.
    """
    identity = identity_of(dataset)
    people = np.unique(identity)
    if len(people) < folds:
        raise TooFewPersons(f"persons.folds is {folds}, but {dataset.name} has {len(people)} people: at most that")
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
    """Gives the people of the training rows validation or test rows of their own, where they have none."""
    identity = identity_of(dataset)
    seen = np.isin(identity, np.unique(identity[split == TRAIN]))
    if (seen & (split == part)).any():
        return
    share = _OF_A_PERSON[part - VALIDATION]
    rows = np.flatnonzero(split == TRAIN)
    cells = identity[rows] * len(dataset.classes) + dataset.y.numpy()[rows]
    split[rows] = _cell_split(dataset, rows, cells, (share, 0.0) if part == VALIDATION else (0.0, share), seed)


def _cell_split(
    dataset: IdentityDataset, rows: np.ndarray, cells: np.ndarray, shares: tuple[float, float], seed: int
) -> np.ndarray:
    """Splits rows, cell by cell, `(n,)`; a share above 0 is at least one recording, but one always stays for training.

    A sample that was not cut from any is a recording of its own.
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
    """The members of each cell, as indices in random order."""
    order = rng.permutation(len(cells))
    order = order[np.argsort(cells[order], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(cells[order])) + 1)


def identity_of(dataset: IdentityDataset) -> np.ndarray:
    """`(N,)`, whose sample each is. Raises `UserError` where the data set does not know."""
    if dataset.identity is None:
        raise UserError(f"{dataset.name} does not say whose its samples are: use --persons.protocol classes")
    return dataset.identity


def _standardized(dataset: IdentityDataset) -> IdentityDataset:
    """With scale and offset that give each channel mean 0 and variance 1 over the training rows."""
    channels = dataset.x.shape[1]
    count, total, squares = 0, torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
    for values in _chunks(dataset.x, dataset.rows(TRAIN)):
        count += values.shape[1]
        total += values.sum(1)
        squares += values.square().sum(1)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
    if (far := mean.abs() > FAR * deviation).any():  # the difference of two large squares has lost digits
        squares.zero_()
        for values in _chunks(dataset.x, dataset.rows(TRAIN)):
            squares += (values - mean[:, None]).square().sum(1)
        deviation = torch.where(far, (squares / count).sqrt(), deviation)
    # A constant channel, such as a dead sensor's, leaves only rounding noise, which must not be blown up.
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
    """Stored values of some samples at a time, `(C, n)` float64."""
    for chunk in torch.from_numpy(rows).split(size):
        yield x[chunk].double().transpose(0, 1).flatten(1)


def limit(dataset: IdentityDataset, data: DataSettings) -> IdentityDataset:
    """A part of the data set, for a quick look: its first classes, the people with the most samples, some of each.

    Raises `UserError` where the data set has fewer classes or people than are asked for.
    """
    rows, rng = np.arange(len(dataset.y)), np.random.default_rng(0)
    labels = dataset.y.numpy()
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

"""What a data set holds, what may be a mistake in it, and what can be compared on it."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..config import PersonSettings
from ..system.errors import UserError
from .identities import TEST, TRAIN, VALIDATION, IdentityDataset
from .own import OwnData
from .person_pool import PersonPool
from .precision import PART
from .shapes import describe_dataset, find_oddities
from .splits import TooFewPersons, split_for

_SHOWN = 8  # classes in a line
_FEW_TESTED = 5  # with fewer samples of a class a person's accuracy moves in large steps
_NAMES = ("train", "validation", "test")


def inspect(data: OwnData, persons: PersonSettings) -> list[tuple[str, str]]:
    """Return lines about a data set, each with its title.

    **Arguments:**

    - `persons`: the shots and queries that persons are to have.

    ```python
    for title, text in inspect(read_data("digits"), PersonSettings()):
        print(title, text)
    ```
    """
    dataset = data.dataset
    lines = [("contents", describe_dataset(dataset))]
    lines += [("how", line) for line in dataset.about]
    lines += [("careful", line) for line in find_oddities(dataset)]
    lines += [*_counts(dataset), ("split", _split_in_words(dataset)), *_values(dataset.x, data.samples)]
    lines += _repeated(dataset, data.samples)
    return [*lines, *_protocols(dataset, persons)]


def _counts(dataset: IdentityDataset) -> Iterator[tuple[str, str]]:
    """Yield the samples of classes, and of people."""
    if dataset.classes:
        counts = np.bincount(dataset.y.numpy(), minlength=len(dataset.classes)).tolist()
        named = [f"{name} {count:,}" for name, count in zip(dataset.classes, counts, strict=True)]
        yield "classes", ", ".join(named[:_SHOWN]) + f", and {len(named) - _SHOWN} more" * (len(named) > _SHOWN)
        yield "of a class", f"{_spread(counts)} samples"
        if np.median(counts) < 2:
            yield (
                "careful",
                "most classes have a single sample: are they numbers to predict? Whole numbers are read as classes, "
                "but not in an .npz file with the text `regression` as `task`",
            )
    if dataset.identity is not None:
        people = len(dataset.identities)
        yield "of a person", f"{_spread(np.bincount(dataset.identity, minlength=people).tolist())} samples"
        cells = np.bincount(dataset.identity * dataset.strata_count + dataset.strata, minlength=people)
        yield "of a person and class", f"{_spread(cells[cells > 0].tolist())} samples, where there are any"
    if dataset.recording is not None:
        yield "of a recording", f"{_spread(np.unique(dataset.recording, return_counts=True)[1].tolist())} samples"


def _spread(counts: Sequence[int]) -> str:
    if min(counts) == max(counts):
        return f"{counts[0]:,}"
    return f"{min(counts):,} to {max(counts):,} (median {np.median(counts):,g})"


def _split_in_words(dataset: IdentityDataset) -> str:
    if dataset.split is None:
        return "none: one is drawn by each seed; a sweep and --tune need one in the data"
    counts = [int((dataset.split == part).sum()) for part in (TRAIN, VALIDATION, TEST)]
    return ", ".join(f"{name} {count:,}" for name, count in zip(_NAMES, counts, strict=True))


def _values(x: Tensor, samples: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the range of stored values, and the samples that are not finite or constant."""
    flat = [part.reshape(len(part), -1).float() for part in x.split(PART)]
    low, high = (torch.cat([of(part, 1) for part in flat]) for of in (torch.amin, torch.amax))
    finite = low.isfinite() & high.isfinite()
    yield "values", f"{low.min():.4g} to {high.max():.4g} as stored ({str(x.dtype).removeprefix('torch.')})"
    for what, bad in (("NaN or infinite", ~finite), ("constant", finite & (low == high))):
        rows = bad.nonzero()[:, 0].tolist()
        yield what, f"{len(rows):,} of {len(x):,} samples" + (f", the first is {samples[rows[0]]}" if rows else "")


def _repeated(dataset: IdentityDataset, samples: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield how many samples have the values of an earlier one, and how many of them with another split or label."""
    first: dict[bytes, int] = {}
    before = np.empty(len(dataset.x), np.int64)
    for row, values in enumerate(dataset.x.numpy()):
        key = hashlib.blake2b(values.tobytes(), digest_size=16).digest()
        before[row] = first.setdefault(key, row)
    again = np.flatnonzero(before != np.arange(len(before)))
    yield "repeated", f"{len(again):,} of {len(before):,} samples have the values of another"
    kinds = {"split": dataset.split, "person": dataset.identity, "class": dataset.strata if dataset.classes else None}
    for kind, index in kinds.items():
        if index is not None:
            other = again[index[again] != index[before[again]]]
            if len(other):
                row, same = int(other[0]), int(before[other[0]])
                yield f"  in another {kind}", f"{len(other):,}, the first is {samples[row]}, like {samples[same]}"


def _protocols(dataset: IdentityDataset, persons: PersonSettings) -> Iterator[tuple[str, str]]:
    """Yield whether persons can be subsets of the classes or people, and how many classes they can have."""
    if dataset.classes:
        yield from _subsets(dataset, dataclasses.replace(persons, protocol="classes", folds=0))
    if dataset.identity is None:
        yield "people as persons", "no: the data do not tell whose samples are whose"
        return
    of_people = dataclasses.replace(persons, protocol="person")
    try:
        split = split_for(dataset, of_people, seed=0)
    except UserError as error:
        yield "people as persons", f"no: {error}"
    else:
        for seen in (True, False):
            yield from _people(PersonPool(split, of_people, seen), of_people)
    yield "folds of people", _folds(dataset, of_people)


def _subsets(dataset: IdentityDataset, persons: PersonSettings) -> Iterator[tuple[str, str]]:
    """Yield of how many classes persons can be subsets: those with samples for support and query."""
    title = "subsets as persons"
    try:
        pool = PersonPool(split_for(dataset, persons, seed=0), persons, seen=True)
    except UserError as error:
        yield title, f"no: {error}"
        return
    usable = int(pool.usable.sum())
    enough = f"of the {len(dataset.classes)} classes have {persons.shots} training and 1 {persons.query} samples"
    if usable < 2:
        yield title, f"no: {usable} {enough}; give more samples, or lower persons.shots"
        return
    yield title, f"{usable} {enough}: persons.protocol classes"
    yield from _tested(pool, persons, "")


def _people(pool: PersonPool, persons: PersonSettings) -> Iterator[tuple[str, str]]:
    """Yield how many people can be persons, and how many classes they have samples for."""
    there = np.unique(pool.who[pool.query])
    title = f"{'seen' if pool.seen else 'unseen'} people as persons"
    if not len(there):
        yield title, f"no: the {persons.query} split has no samples of theirs"
        return
    able = sorted((count for count in pool.usable[there].sum(1).tolist() if count), reverse=True)
    enough = f"{persons.shots} shots and a sample to test"
    if len(able) < 2:
        yield title, f"no: {len(able)} of {len(there)} have a class with {enough}, 2 are needed; lower persons.shots"
        return
    told, protocols = f"{len(able)} of {len(there)} have {enough}", "persons.protocol person"
    if pool.dataset.classes:
        told += f" of {_spread(able)} classes"
        protocols += f", or person+classes with persons.classes up to {able[1]}"
    yield title, f"{told}: {protocols}"
    yield from _tested(pool, persons, f" of {'a seen' if pool.seen else 'an unseen'} person")


def _tested(pool: PersonPool, persons: PersonSettings, whose: str) -> Iterator[tuple[str, str]]:
    """Yield a caution if persons are tested on few samples, as what support sets take is left out."""
    rows, taken = pool.query, 0 if pool.seen else persons.shots
    cells = pool.who[rows] * pool.dataset.strata_count + pool.labels[rows]
    counts = np.unique(cells, return_counts=True)[1] - taken
    tested = counts[counts > 0]
    if len(tested) and np.median(tested) < _FEW_TESTED:
        few = f"few samples to test: {_spread(tested.tolist())} of each class{whose}"
        yield "careful", f"{few}; give more, or take many seeds or folds"


def _folds(dataset: IdentityDataset, persons: PersonSettings) -> str:
    people = len(np.unique(dataset.identity)) if dataset.identity is not None else 0
    for folds in range(2, people + 1):
        try:
            split_for(dataset, dataclasses.replace(persons, folds=folds), seed=0)
        except TooFewPersons:
            continue
        return f"persons.folds {folds} to {people}: with as many seeds everybody is unseen once"
    return f"no: {people} people are too few"

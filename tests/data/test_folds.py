"""People held out by turns, recordings that stay whole, and whose samples controls have."""

import dataclasses

import numpy as np
import pytest
import torch

from pppl.config import PersonSettings
from pppl.data import IdentityDataset, TooFewPersons, draw_persons, people_left_out, split_for
from pppl.data.identities import TEST, TRAIN, VALIDATION
from pppl.system.errors import UserError

CLASSES, WINDOWS = 4, 12


def _people(count: int, recordings: int = 1) -> IdentityDataset:
    """Everybody does everything, in some recordings of twelve windows each."""
    shape = (count, CLASSES, recordings, WINDOWS)
    identity, y, *_ = np.indices(shape).reshape(4, -1)
    recording = np.arange(count * CLASSES * recordings).repeat(WINDOWS)
    return IdentityDataset(
        name="moves",
        x=torch.rand(len(y), 2, 5, generator=torch.Generator().manual_seed(0)),
        y=torch.from_numpy(y),
        classes=tuple("abcd"),
        identity=identity,
        identities=tuple(f"p{i}" for i in range(count)),
        recording=recording if recordings > 1 else None,
    )


def _unseen(dataset: IdentityDataset, persons: PersonSettings, seed: int) -> set[str]:
    drawn = draw_persons(split_for(dataset, persons, seed), persons, size=0, seed=seed, seen=False)
    return {person.identity for person in drawn}


@pytest.mark.parametrize(("people", "folds"), [(10, 5), (7, 3), (6, 3)])
def test_as_many_seeds_as_folds_have_everybody_unseen_once(people: int, folds: int):
    dataset, persons = _people(people), PersonSettings(protocol="person", folds=folds)
    rounds = [[_unseen(dataset, persons, turn * folds + fold) for fold in range(folds)] for turn in range(2)]
    for each in rounds:
        told = [name for fold in each for name in fold]
        assert sorted(told) == sorted(dataset.identities), "everybody, once"
    assert rounds[0] != rounds[1], "the next round has other company"


def test_no_fold_trains_or_validates_on_its_test_people():
    dataset, persons = _people(10), PersonSettings(protocol="person", folds=5)
    for seed in range(5):
        split = split_for(dataset, persons, seed)
        assert split.split is not None
        assert split.identity is not None
        kinds = [set(split.split[split.identity == who].tolist()) for who in range(10)]
        assert kinds.count({TEST}) == 2
        assert kinds.count({VALIDATION}) == 2
        assert sum(TRAIN in each for each in kinds) == 6


def test_more_folds_than_people_and_nobody_to_train_on():
    with pytest.raises(TooFewPersons, match=r"persons\.folds is 12, but moves has 10 people: lower it to 10 or less"):
        split_for(_people(10), PersonSettings(protocol="person", folds=12), seed=0)
    with pytest.raises(TooFewPersons, match=r"with 2 folds nobody is left to train on; take more folds"):
        split_for(_people(2), PersonSettings(protocol="person", folds=2), seed=0)
    with pytest.raises(UserError, match=r"persons\.folds is 1: 0 \(none\) or at least 2"):
        PersonSettings(folds=1)
    with pytest.raises(UserError, match=r"persons\.folds holds people out, but persons\.protocol is classes"):
        PersonSettings(protocol="classes", folds=3)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_recording_is_never_parted(seed: int):
    dataset, persons = _people(10, recordings=3), PersonSettings(protocol="person", folds=5, shots=5)
    split = split_for(dataset, persons, seed)
    assert split.split is not None
    assert split.recording is not None
    parts = [set(split.split[split.recording == each].tolist()) for each in np.unique(split.recording)]
    assert all(len(part) == 1 for part in parts)
    for seen in (True, False):
        for person in draw_persons(split, persons, size=0, seed=seed, seen=seen):
            support, query = (split.recording[rows] for rows in (person.support, person.query))
            assert len(person.support) == 5 * CLASSES
            assert not set(support) & set(query)
            assert len(set(support)) == CLASSES, "five windows of one recording of each class"
            assert len(person.query)


def test_a_support_set_of_a_recording_and_more_leaves_one_to_ask_about():
    """Two recordings of twelve windows: twelve shots leave a whole one, thirteen none."""
    dataset = _people(10, recordings=2)
    twelve = PersonSettings(protocol="person", folds=5, shots=12)
    drawn = draw_persons(split_for(dataset, twelve, 0), twelve, size=0, seed=0, seen=False)
    assert all(len(person.query) == WINDOWS * CLASSES for person in drawn)
    thirteen = dataclasses.replace(twelve, shots=13)
    with pytest.raises(TooFewPersons, match="unseen people"):
        draw_persons(split_for(dataset, thirteen, 0), thirteen, size=0, seed=0, seen=False)


@pytest.mark.parametrize("seen", [True, False])
def test_a_twin_is_somebody_else_with_the_same_classes(seen: bool):
    dataset, persons = _people(10), PersonSettings(protocol="person+classes", folds=5, classes=(2,), shots=3)
    split = split_for(dataset, persons, 0)
    assert split.identity is not None
    labels = split.y.numpy()
    for person in draw_persons(split, persons, size=2, seed=0, seen=seen):
        own = set(split.identity[person.support])
        assert labels[person.twin].tolist() == labels[person.support].tolist()
        assert own.isdisjoint(split.identity[person.twin])
        assert set(split.identity[person.swap]) == own
        assert not set(labels[person.swap]) & set(labels[person.support])
        assert not set(person.swap) & set(person.query)


def test_somebody_alone_has_no_twin():
    """Person 0 alone does everything; the others lack class 0."""
    dataset = _people(10)
    assert dataset.identity is not None
    keep = np.flatnonzero((dataset.identity == 0) | (dataset.y.numpy() > 0))
    dataset = dataclasses.replace(
        dataset, x=dataset.x[keep], y=dataset.y[keep], identity=dataset.identity[keep], recording=None
    )
    persons = PersonSettings(protocol="person", split="random", shots=3)
    seed = next(s for s in range(20) if "p0" not in _unseen(dataset, persons, s))
    drawn = draw_persons(split_for(dataset, persons, seed), persons, size=0, seed=seed, seen=True)
    twins = {person.identity: len(person.twin) for person in drawn}
    if "p0" in twins:
        assert twins.pop("p0") == 0
    assert min(twins.values()) > 0


def test_whom_the_data_have_too_few_samples_of_is_named():
    dataset = _people(10)
    assert dataset.identity is not None
    poor = (dataset.identity == 3) & (np.arange(len(dataset.y)) % WINDOWS > 2)
    keep = np.flatnonzero(~poor)
    dataset = dataclasses.replace(dataset, x=dataset.x[keep], y=dataset.y[keep], identity=dataset.identity[keep])
    persons = PersonSettings(protocol="person", folds=5, shots=3)
    told = [people_left_out(split_for(dataset, persons, seed), persons, size=0, seen=False) for seed in range(5)]
    assert sorted(told) == [[], [], [], [], ["p3"]], "once, where p3 is unseen"
    classes = PersonSettings(protocol="classes")
    assert people_left_out(split_for(dataset, classes, 0), classes, size=2, seen=True) == []

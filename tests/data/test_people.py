"""Persons who are people: seen and unseen, and what is held back of them."""

import dataclasses

import numpy as np
import pytest
import torch

from pppl.config import DataSettings, PersonSettings
from pppl.data import IdentityDataset, TooFewPersons, draw_persons, limit, person_groups, resolve_protocol, split_for
from pppl.data.identities import TEST, TRAIN, VALIDATION
from pppl.system.errors import UserError

PEOPLE, CLASSES, REPETITIONS = 10, 4, 10


def people(split: np.ndarray | None = None, **changes: object) -> IdentityDataset:
    """Every person says every word ten times."""
    identity, y, _ = np.indices((PEOPLE, CLASSES, REPETITIONS)).reshape(3, -1)
    dataset = IdentityDataset(
        name="words",
        x=torch.randint(256, (len(y), 2, 5), generator=torch.Generator().manual_seed(0)).to(torch.uint8),
        y=torch.from_numpy(y),
        classes=tuple("abcd"),
        split=split,
        identity=identity,
        identities=tuple(f"p{i}" for i in range(PEOPLE)),
    )
    return dataclasses.replace(dataset, **changes)  # type: ignore[arg-type]


@pytest.fixture
def official() -> IdentityDataset:
    """Persons 0 to 6 train, 7 validates, 8 and 9 test."""
    by_person = np.array([TRAIN] * 7 + [VALIDATION] + [TEST] * 2, np.uint8)
    return people(np.repeat(by_person, CLASSES * REPETITIONS))


PERSON = PersonSettings(protocol="person", count=20)


def test_seen_people_have_samples_held_back_and_the_official_split_stays(official: IdentityDataset):
    split = split_for(official, PERSON, seed=0).split
    assert official.split is not None
    assert split is not None
    assert (split[official.split == TEST] == TEST).all()
    assert (split[official.split == VALIDATION] == VALIDATION).all()
    assert official.identity is not None
    for person in range(7):
        for label in range(CLASSES):
            cell = split[(official.identity == person) & (official.y.numpy() == label)]
            assert np.bincount(cell, minlength=3).tolist() == [7, 1, 2]


def test_what_is_held_back_follows_from_the_seed_but_test_samples_are_the_same_for_all(official: IdentityDataset):
    first, again, other = (split_for(official, PERSON, seed) for seed in (0, 0, 1))
    assert first.sha256 == again.sha256 != other.sha256
    assert first.rows(TEST).tolist() == other.rows(TEST).tolist(), "what one seed tunes on no other seed tests on"
    assert first.rows(VALIDATION).tolist() != other.rows(VALIDATION).tolist()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_random_split_holds_people_back(official: IdentityDataset, seed: int):
    split = split_for(official, PersonSettings(protocol="person", split="random"), seed)
    assert split.split is not None
    assert split.identity is not None
    unseen = [p for p in range(PEOPLE) if TRAIN not in split.split[split.identity == p]]
    assert len(unseen) == 4  # a fifth of ten to test, 0.15 to validate
    assert {tuple(np.unique(split.split[split.identity == p])) for p in unseen} == {(TEST,), (VALIDATION,)}


def test_the_people_held_back_differ_by_seed(official: IdentityDataset):
    def unseen(seed: int) -> set[str]:
        persons = PersonSettings(protocol="person", split="random")
        return {
            p.identity for p in draw_persons(split_for(official, persons, seed), persons, size=0, seed=seed, seen=False)
        }

    assert len({frozenset(unseen(seed)) for seed in range(6)}) > 1


def test_a_sources_own_held_out_rows_of_seen_people_stay():
    split = np.where(np.arange(PEOPLE * CLASSES * REPETITIONS) % REPETITIONS < 2, TEST, TRAIN).astype(np.uint8)
    made = split_for(people(split), PERSON, seed=0).split
    assert made is not None
    assert ((made == TEST) == (split == TEST)).all()
    assert (made == VALIDATION).sum() == PEOPLE * CLASSES


@pytest.mark.parametrize("query", ["test", "validation"])
@pytest.mark.parametrize(("protocol", "size"), [("person", 0), ("person+classes", 2)])
@pytest.mark.parametrize("split", ["official", "random"])
def test_seen_and_unseen_people(official: IdentityDataset, query: str, protocol: str, size: int, split: str):
    persons = PersonSettings(protocol=protocol, query=query, split=split, classes=(2,), count=5)  # type: ignore[arg-type]
    dataset = split_for(people(official.split), persons, seed=3)
    assert dataset.split is not None
    assert dataset.identity is not None
    wanted = TEST if query == "test" else VALIDATION
    trained_on = set(dataset.identity[dataset.split == TRAIN])
    for seen in (True, False):
        if not seen and query == "validation" and split == "official":  # which has one such person
            with pytest.raises(UserError, match=r"words has 1 unseen people( with 2 classes)?, and `other` needs 2"):
                draw_persons(dataset, persons, size=size, seed=0, seen=seen)
            continue
        for person in draw_persons(dataset, persons, size=size, seed=0, seen=seen):
            (who,) = set(dataset.identity[[*person.support, *person.query]])
            assert person.identity.split(":")[0] == f"p{who}"
            assert person.seen == seen == (who in trained_on)
            assert not set(person.support) & set(person.query)
            assert set(dataset.split[person.query]) == {wanted}
            assert set(dataset.split[person.support]) == {TRAIN if seen else wanted}
            labels = dataset.y.numpy()
            assert set(labels[person.query]) == set(labels[person.support])
            assert set(np.bincount(labels[person.support])) <= {0, 5}
            assert len(set(labels[person.support])) == (size or CLASSES)


def test_persons_of_some_classes_are_all_different_and_everybody_takes_turns(official: IdentityDataset):
    persons = PersonSettings(protocol="person+classes", count=14)
    drawn = draw_persons(split_for(official, persons, 0), persons, size=3, seed=0)
    assert len({person.identity for person in drawn}) == 14
    assert {person.persons for person in drawn} == {"person+3 classes"}
    speakers = [person.identity.split(":")[0] for person in drawn]
    assert sorted(speakers) == sorted([f"p{i}" for i in range(7)] * 2)
    fewer = draw_persons(
        split_for(official, persons, 0), PersonSettings(protocol="person+classes", count=5), size=3, seed=0
    )
    assert [(p.identity, p.support.tolist()) for p in fewer] == [(p.identity, p.support.tolist()) for p in drawn[:5]]


def test_a_person_with_too_few_samples_of_a_class_is_without_it(official: IdentityDataset):
    short = np.flatnonzero((official.identity == 8) & (official.y.numpy() == 0))[5:]  # leaves 5: one less than needed
    keep = np.setdiff1d(np.arange(len(official.y)), short)
    assert official.split is not None
    assert official.identity is not None
    dataset = dataclasses.replace(
        official, x=official.x[keep], y=official.y[keep], split=official.split[keep], identity=official.identity[keep]
    )
    drawn = draw_persons(split_for(dataset, PERSON, 0), PERSON, size=0, seed=0, seen=False)
    assert [(p.identity, set(dataset.y.numpy()[p.query])) for p in drawn] == [("p8", {1, 2, 3}), ("p9", {0, 1, 2, 3})]
    with pytest.raises(
        UserError, match=r"classes with 11 test samples are wanted, 'p0' has the most, 0; lower persons"
    ):
        draw_persons(
            split_for(dataset, PERSON, 0), PersonSettings(protocol="person", shots=10), size=0, seed=0, seen=False
        )


def test_nobody_is_known():
    anonymous = people(identity=None)
    with pytest.raises(UserError, match="has no person labels"):
        split_for(anonymous, PERSON, 0)
    assert resolve_protocol(PersonSettings(), anonymous).protocol == "classes"
    assert resolve_protocol(PersonSettings(), people()).protocol == "person+classes"
    assert [group[:2] for group in person_groups(PersonSettings(protocol="person+classes", classes=(2, 3)))] == [
        (2, True),
        (3, True),
        (2, False),
        (3, False),
    ]


def test_four_people_cannot_be_held_back():
    with pytest.raises(TooFewPersons, match="has 4 people: holding some back takes at least 5"):
        split_for(limit(people(), DataSettings(people=4)), PERSON, 0)


def test_where_people_have_too_little_to_hold_back_classes_have(official: IdentityDataset):
    few = limit(official, DataSettings(samples=2))  # one to test, one to train on
    few = dataclasses.replace(few, split=np.where(few.split == VALIDATION, TEST, few.split))
    made = split_for(few, PERSON, 0)
    assert len(made.rows(VALIDATION)) == CLASSES
    single = limit(official, DataSettings(people=5, samples=2))
    single = dataclasses.replace(single, split=np.where(np.arange(len(single.y)) < 4, TRAIN, TEST).astype(np.uint8))
    single = dataclasses.replace(single, y=torch.arange(len(single.y)) % CLASSES, identity=np.arange(len(single.y)))
    with pytest.raises(UserError, match="words has no validation samples, and too few of each class"):
        split_for(single, PERSON, 0)


def test_auto_splits_as_it_draws(official: IdentityDataset):
    people_split, auto = (
        split_for(official, p, 0) for p in (PersonSettings(protocol="person+classes"), PersonSettings())
    )
    assert people_split.sha256 == auto.sha256
    assert not draw_persons(auto, PersonSettings(), size=2, seed=0, seen=False)[0].seen


def test_two_word_lists_of_one_speaker_are_not_two_people(official: IdentityDataset):
    assert official.identity is not None
    assert official.split is not None
    without = np.flatnonzero(official.identity != 9)
    dataset = dataclasses.replace(
        official,
        x=official.x[without],
        y=official.y[without],
        split=official.split[without],
        identity=official.identity[without],
    )
    persons = PersonSettings(protocol="person+classes")
    with pytest.raises(TooFewPersons, match="words has 1 unseen people with 2 classes, and `other` needs 2"):
        draw_persons(split_for(dataset, persons, 0), persons, size=2, seed=0, seen=False)


def test_a_class_split_has_validation_rows_where_the_source_has_none(official: IdentityDataset):
    split = np.where(np.arange(len(official.y)) % 2, TRAIN, TEST).astype(np.uint8)
    made = split_for(people(split), PersonSettings(protocol="classes"), seed=0).split
    assert made is not None
    assert np.bincount(made).tolist() == [180, 20, 200]
    split, y = np.where(np.arange(40_010) < 10, TEST, TRAIN).astype(np.uint8), torch.arange(40_010) % 4
    many = IdentityDataset(name="many", x=torch.zeros(40_010, 1, 1), y=y, classes=tuple("abcd"), split=split)
    made = split_for(many, PersonSettings(protocol="classes"), seed=0).split
    assert made is not None
    assert np.bincount(made).tolist() == [38_000, 2_000, 10], "a tenth would be 4,000"


def test_inputs_are_standardized_by_the_training_rows(official: IdentityDataset):
    dataset = split_for(dataclasses.replace(official, scale=torch.tensor([3.0]), offset=torch.tensor([7.0])), PERSON, 0)
    train = dataset.inputs(dataset.rows(TRAIN))
    assert torch.allclose(train.mean((0, 2)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(train.var((0, 2), unbiased=False), torch.ones(2), atol=1e-5)
    constant = split_for(people(x=torch.full((PEOPLE * CLASSES * REPETITIONS, 2, 5), 9, dtype=torch.uint8)), PERSON, 0)
    assert not constant.inputs(np.arange(3)).any()
    dead = torch.full((PEOPLE * CLASSES * REPETITIONS, 2, 5), 1655.4)  # whose variance is rounding noise
    values = split_for(people(x=dead), PERSON, 0).to_inputs(dead[:1] * 1.001)
    assert values.abs().max() < 10


def test_a_part_for_a_quick_look(official: IdentityDataset):
    part = limit(official, DataSettings(classes=3, people=4, samples=2))
    assert part.classes == ("a", "b", "c")
    assert part.identity is not None
    assert len(set(part.identity)) == 4
    assert len(part.y) == 4 * 3 * 2
    assert limit(official, DataSettings()) is official
    for data in (DataSettings(classes=5), DataSettings(people=11)):
        with pytest.raises(UserError, match=r"data\.(classes is 5, but words has 4|people is 11, but words has 10)"):
            limit(official, data)

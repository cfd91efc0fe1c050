"""What masks tell: everything if each person or class has its own, nothing if all are the same."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from pppl import Experiment
from pppl.comparison.mask_leak import LEAK, Draws, leak_is_whole, leaking, write_leak
from pppl.comparison.units import PersonGroup
from pppl.data import GroupName, IdentityDataset, split_for
from pppl.tables.schema import read_frame

PERSONS = {"ppp.training": "persons", "person_training.epochs": 2}


def told(draws: Draws, masks: np.ndarray) -> dict[str, float]:
    return {str(row["tells"]): float(str(row["score"])) for row in draws.told(masks.astype(np.float32))}


@pytest.fixture
def people() -> PersonGroup:
    """Eight people with two of six classes, who are persons of an experiment."""
    who, y, _ = np.indices((8, 6, 20)).reshape(3, -1)
    dataset = IdentityDataset(
        name="words",
        x=torch.zeros(len(y), 1, 4),
        y=torch.from_numpy(y),
        classes=tuple("abcdef"),
        identity=who,
        identities=tuple("ABCDEFGH"),
    )
    changes = {"persons.protocol": "person+classes", "persons.split": "random", "persons.shots": 2}
    experiment = Experiment().replace(methods=["ppp@persons"], settings={"ppp@persons": PERSONS}, **changes)
    dataset = split_for(dataset, experiment.persons, seed=0)
    return PersonGroup.draw(experiment, dataset, 0, GroupName(2, seen=True))


def test_masks_of_ones_own_tell_who_it_is_and_those_of_the_classes_do_not(people: PersonGroup):
    draws = Draws.of(people)
    person = np.eye(8)[draws.who]
    assert told(draws, person)["person"] == 1
    assert told(draws, person)["classes"] < 0.5, "a third is right by chance"
    assert told(draws, draws.classes)["classes"] == 1
    by_classes = told(draws, draws.classes)["person"]
    assert by_classes < 0.4, "classes are drawn for each support set"
    nothing = told(draws, np.zeros((len(draws.who), 3)))
    assert nothing["person"] < 0.3
    assert {row["tells"]: row["chance"] for row in draws.told(person)} == {
        "person": max(1 / len(np.unique(draws.who)), by_classes),
        "classes": 1 / 3,
    }


def test_masks_that_are_fitted_and_masks_that_are_asked_share_no_sample(people: PersonGroup):
    draws = Draws.of(people)
    fitted, asked = (
        {row for rows, of in zip(draws.rows, draws.half, strict=True) if of == half for row in rows} for half in (0, 1)
    )
    assert fitted
    assert asked
    assert not fitted & asked
    training = np.flatnonzero(people.dataset.split == 0)
    assert not (fitted | asked) & set(training.tolist()), "no network was trained on them"
    assert people.dataset.identity is not None
    for rows, who, own in zip(draws.rows, draws.who, draws.classes, strict=True):
        assert (people.dataset.identity[rows] == who).all()
        assert sorted(people.dataset.y[rows].unique().tolist()) == np.flatnonzero(own).tolist()


def test_people_are_left_out_where_halves_tell_classes_that_the_other_half_lacks(people: PersonGroup):
    """Recordings stay whole, and here everybody has one or two of each class."""
    dataset = people.dataset
    assert dataset.identity is not None
    two = np.arange(len(dataset.y)) % 2 + 2 * (dataset.identity * 6 + dataset.y.numpy())
    some = Draws.of(dataclasses.replace(people, dataset=dataclasses.replace(dataset, recording=two)))
    assert 0 < len(set(some.who.tolist())) <= 8
    for who in set(some.who.tolist()):
        known, asked = (some.classes[(some.who == who) & (some.half == half)].any(0) for half in (0, 1))
        assert known.tolist() == asked.tolist(), "drawn from the same classes"
    one = dataclasses.replace(dataset, recording=dataset.identity * 6 + dataset.y.numpy())
    assert not Draws.of(dataclasses.replace(people, dataset=one)).rows


def test_persons_with_all_classes_are_those_who_have_all_in_both_halves(people: PersonGroup):
    changes = {"persons.protocol": "person"}
    everything = PersonGroup.draw(people.experiment.replace(**changes), people.dataset, 0, GroupName(0, seen=True))
    draws = Draws.of(everything)
    assert draws.rows
    assert draws.classes.all()
    dataset = everything.dataset
    assert dataset.identity is not None
    # A class of one person is in one recording, so that it is in one half alone.
    who, recording = int(draws.who[0]), np.arange(len(dataset.y))
    of_class = np.flatnonzero((dataset.identity == who) & (dataset.y.numpy() == 3))
    recording[of_class] = of_class[0]
    others = Draws.of(dataclasses.replace(everything, dataset=dataclasses.replace(dataset, recording=recording)))
    assert {*others.who.tolist()} == {*draws.who.tolist()} - {who}


def test_a_table_without_anybody_to_ask_has_its_columns(
    tiny: Experiment, digits: IdentityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    experiment = tiny.replace(methods=["full", "ppp@persons"], settings={"ppp@persons": PERSONS}, seeds=[0])
    groups = [PersonGroup.draw(experiment, split_for(digits, experiment.persons, 0), 0, GroupName(2, seen=True))]
    nobody = dataclasses.replace(Draws.of(groups[0]), rows=())
    monkeypatch.setattr(Draws, "of", staticmethod(lambda group: nobody))
    write_leak(tmp_path, groups)
    assert leak_is_whole(tmp_path, groups)
    assert read_frame(tmp_path / LEAK).columns[:3].tolist() == ["persons", "method", "seed"]
    assert len(read_frame(tmp_path / LEAK)) == 0


def test_the_table_has_a_row_for_each_method_that_sees_the_person(
    tiny: Experiment, digits: IdentityDataset, tmp_path: Path
):
    settings = {"ppp@persons": PERSONS, "ppp@nothing": PERSONS | {"person_training.gate_input": "nothing"}}
    methods = ["full", "ppp", "ppp@persons+quant", "ppp@nothing"]
    experiment = tiny.replace(methods=methods, settings=settings, seeds=[0])
    dataset = split_for(digits, experiment.persons, 0)
    groups = [PersonGroup.draw(experiment, dataset, 0, GroupName(2, seen=True))]
    assert [*leaking(groups)] == ["ppp@persons"], "gates for each sample and for everybody have no mask of a person"
    assert not leak_is_whole(tmp_path, groups)
    write_leak(tmp_path, groups)
    assert leak_is_whole(tmp_path, groups)
    table = read_frame(tmp_path / LEAK)
    assert table["budget"].tolist() == list(experiment.budgets)
    assert set(table["tells"]) == {"classes"}, "persons are classes here"
    assert table["score"].between(0, 1).all()
    assert (table["chance"] == 0.2).all()

"""What `pppl data check` tells of a data set."""

import dataclasses

import numpy as np
import pytest
import torch
from own_files import write_image, write_people

from pppl.config import PersonSettings
from pppl.data import IdentityDataset
from pppl.data.catalogue import read_data
from pppl.data.inspection import inspect
from pppl.data.own import OwnData

PERSONS = PersonSettings(shots=2)


def _told(dataset: IdentityDataset, persons: PersonSettings = PERSONS) -> dict[str, str]:
    told: dict[str, str] = {}
    for title, text in inspect(OwnData(dataset, [f"row {at}" for at in range(len(dataset.y))]), persons):
        told[title] = f"{told[title]}\n{text}" if title in told else text
    return told


def _dataset(people: int = 6, classes: int = 4, each: int = 5) -> IdentityDataset:
    who, label, _ = np.indices((people, classes, each)).reshape(3, -1)
    x = torch.randn(len(who), 2, 9, generator=torch.Generator().manual_seed(0))
    names = tuple(f"p{at}" for at in range(people))
    about = {"classes": tuple("abcdefgh"[:classes]), "identity": who, "identities": names}
    return IdentityDataset(name="own", x=x, y=torch.from_numpy(label), **about)


def test_contents_are_counted():
    told = _told(_dataset())
    assert told["contents"] == "120 samples, 2 channels x 9 steps, 6 people, 4 classes"
    assert told["classes"] == "a 30, b 30, c 30, d 30"
    assert told["of a person"] == "20 samples"
    fewer = _dataset()
    kept = np.r_[0:3, 5 : len(fewer.y)]
    fewer = dataclasses.replace(fewer, x=fewer.x[kept], y=fewer.y[kept], identity=fewer.identity[kept])  # type: ignore[index]
    assert _told(fewer)["of a person"] == "18 to 20 (median 20) samples"
    assert _told(fewer)["of a person and class"] == "3 to 5 (median 5) samples, where there are any"
    assert _told(fewer)["split"].startswith("none: one is drawn by each seed")


def test_values_that_are_no_use_are_counted():
    dataset = _dataset()
    dataset.x[3] = 7.0
    dataset.x[5, 0, 0], dataset.x[6, 1, 2] = torch.nan, torch.inf
    told = _told(dataset)
    assert told["constant"] == "1 of 120 samples, the first is row 3"
    assert told["NaN or infinite"] == "2 of 120 samples, the first is row 5"
    dataset = _dataset()
    assert _told(dataset)["constant"] == "0 of 120 samples"


def test_repeated_samples_are_told_where_they_leak():
    dataset = dataclasses.replace(_dataset(), split=np.arange(120) % 3)
    assert _told(dataset)["repeated"].startswith("0 of 120")
    assert not [title for title in _told(dataset) if "in another" in title]
    dataset.x[7] = dataset.x[1]  # another split, the same person, another class
    dataset.x[32] = dataset.x[2]  # the same split, another person, another class
    told = _told(dataset)
    assert told["repeated"] == "2 of 120 samples have the values of another"
    assert "  in another split" not in told, "rows 1 and 7 are of one split"
    assert told["  in another person"] == "1, the first is row 32, like row 2"
    dataset.x[8] = dataset.x[1]
    assert _told(dataset)["  in another split"] == "1, the first is row 8, like row 1"


def test_axes_that_look_swapped_are_told():
    dataset = _dataset()
    dataset = dataclasses.replace(dataset, x=torch.randn(120, 128, 3))
    assert "128 channels of 3 steps" in _told(dataset)["careful"]


@pytest.mark.parametrize(("shots", "classes"), [(1, "4"), (4, "4")])
def test_people_who_can_be_persons(shots: int, classes: str):
    told = _told(_dataset(), PersonSettings(shots=shots))
    assert f"{shots} shots and a sample to test of {classes} classes" in told["unseen people as persons"]
    assert f"persons.classes up to {classes}" in told["unseen people as persons"]
    assert told["careful"].endswith("or take many seeds or folds")
    assert (f"few samples to test: {5 - shots} of each class of an unseen person; give more") in told["careful"]
    assert told["folds of people"] == "persons.folds 2 to 6: with as many seeds everybody is unseen once"


def test_people_with_too_few_samples():
    told = _told(_dataset(), PersonSettings(shots=5))
    for who in ("seen", "unseen"):
        assert told[f"{who} people as persons"].startswith("no: 0 of ")
        assert told[f"{who} people as persons"].endswith("2 are needed; lower persons.shots")
    assert told["subsets as persons"].startswith("4 of the 4 classes have 5 training")
    told = _told(_dataset(people=3), PERSONS)
    assert told["people as persons"].startswith("no: own has 3 people: holding some back takes at least 5, or 3")
    assert told["folds of people"].startswith("persons.folds 3 to 3")


def test_data_without_people_and_without_classes():
    dataset = dataclasses.replace(_dataset(), identity=None, identities=())
    assert _told(dataset)["people as persons"] == "no: the data do not tell whose samples are whose"
    dataset = dataclasses.replace(_dataset(), classes=(), y=torch.randn(120, 1), task="regression")
    told = _told(dataset)
    assert "subsets as persons" not in told
    assert told["seen people as persons"].endswith("persons.protocol person")


def test_a_sample_is_called_by_its_file(tmp_path):
    folder = write_people(tmp_path / "own", people=5, classes=2, each=4)
    write_image(folder / "p0" / "a" / "9.png", 0)
    write_image(folder / "p4" / "b" / "9.png", 0)
    told = dict(inspect(read_data(str(folder)), PERSONS))
    assert told["repeated"].startswith("2 of 42")
    assert told["  in another person"] == f"1, the first is {folder}/p4/b/9.png, like {folder}/p0/a/0.png"


def test_whole_numbers_that_are_no_classes_are_told():
    dataset = _dataset(people=1, classes=4, each=30)
    ages = dataclasses.replace(dataset, y=torch.arange(120), classes=tuple(map(str, range(120))))
    assert "most classes have a single sample: are they numbers to predict?" in _told(ages)["careful"]

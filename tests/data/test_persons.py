import numpy as np
import pytest
import torch

from pppl import Experiment
from pppl.config import PersonSettings
from pppl.data import IdentityDataset, Support, draw_persons, load_dataset
from pppl.data.identities import TEST, TRAIN, VALIDATION
from pppl.system.errors import UserError


def test_the_digits_are_split_once_and_for_all(digits: IdentityDataset):
    assert len(digits.x) == 1797
    assert digits.sha256 == load_dataset("digits").sha256
    for split, share in ((TRAIN, 0.60), (VALIDATION, 0.15), (TEST, 0.25)):
        counts = np.bincount(digits.y.numpy()[digits.rows(split)], minlength=10)
        assert counts.min() > 0
        assert len(digits.rows(split)) / 1797 == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("query", ["test", "validation"])
def test_support_is_from_training_and_query_is_held_out(digits: IdentityDataset, query: str):
    assert digits.split is not None
    persons = draw_persons(digits, PersonSettings(query=query), size=3, seed=1)  # type: ignore[arg-type]
    assert len(persons) == 20
    assert len({person.identity for person in persons}) == 20
    for person in persons:
        classes = {int(name) for name in person.identity.split("+")}
        assert len(classes) == 3
        assert set(digits.split[person.support]) == {TRAIN}
        assert set(digits.split[person.query]) == {TEST if query == "test" else VALIDATION}
        assert not set(person.support) & set(person.query)
        support_labels = digits.y.numpy()[person.support]
        assert {c: (support_labels == c).sum() for c in classes} == dict.fromkeys(classes, 5)
        held_out = digits.rows(TEST if query == "test" else VALIDATION)
        expected = [row for row in held_out if int(digits.y[row]) in classes]
        assert person.query.tolist() == expected


def test_persons_follow_from_the_seed(digits: IdentityDataset):
    def draw(seed: int, count: int = 20) -> list[tuple[str, list[int]]]:
        drawn = draw_persons(digits, PersonSettings(count=count), size=2, seed=seed)
        return [(person.identity, person.support.tolist()) for person in drawn]

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)
    assert draw(0, count=5) == draw(0)[:5], "more persons must not change the first ones"


def test_more_persons_than_there_are_subsets_are_all_of_them(digits: IdentityDataset):
    assert len(draw_persons(digits, PersonSettings(count=46), size=2, seed=0)) == 45


def test_fewer_than_two_persons(digits: IdentityDataset):
    with pytest.raises(UserError, match=r"digits has 1 persons of 10 classes, and `other` needs 2"):
        draw_persons(digits, PersonSettings(), size=10, seed=0)


def test_more_shots_than_samples(digits: IdentityDataset):
    with pytest.raises(
        UserError, match=r"500 training and 1 test samples are wanted.*lower persons\.shots \(now 500\)"
    ):
        draw_persons(digits, PersonSettings(shots=500), size=2, seed=0)


def test_query_is_bounded_per_class(digits: IdentityDataset):
    unbounded, bounded = (draw_persons(digits, PersonSettings(queries=n), size=2, seed=0) for n in (0, 7))
    for all_rows, some in zip(unbounded, bounded, strict=True):
        assert np.bincount(digits.y.numpy()[some.query]).max() == 7 == len(some.query) / 2
        assert set(some.query) <= set(all_rows.query)
        assert some.support.tolist() == all_rows.support.tolist()


def test_a_support_set_without_samples():
    with pytest.raises(UserError, match="has no samples"):
        Support(x=torch.zeros(0, 1, 8, 8), y=torch.zeros(0, dtype=torch.int64))


def test_an_unknown_data_set():
    with pytest.raises(UserError, match=r"unknown data set 'digit': did you mean 'digits'\?"):
        load_dataset(Experiment().replace(**{"data.name": "digit"}).data.name)


def test_a_twin_of_classes_is_other_samples_of_them_and_a_swap_is_of_other_classes(digits: IdentityDataset):
    labels = digits.y.numpy()
    for person in draw_persons(digits, PersonSettings(count=8), size=3, seed=1):
        assert labels[person.twin].tolist() == labels[person.support].tolist()
        assert not set(person.twin) & {*person.support, *person.query}
        others = set(labels[person.swap].tolist())
        assert len(others) == 3
        assert not others & set(labels[person.support].tolist())
        assert len(person.swap) == len(person.support)
        assert set(digits.split[person.swap]) == {TRAIN}  # pyright: ignore[reportOptionalSubscript]
    (person, *_) = draw_persons(digits, PersonSettings(count=2), size=6, seed=1)
    assert not len(person.swap), "there are not six others"
    assert len(person.twin)

"""Kinds of support sets: of the same persons, and each as its name says."""

from typing import Any

import numpy as np
import pytest
from test_people import people

from pppl.config import PersonSettings
from pppl.data import IdentityDataset, Person, draw_persons, person_groups, split_for
from pppl.system.errors import UserError

KINDS: dict[str, Any] = {
    "usual": {},
    "1 shot": {"shots": 1},
    "2 shots": {"shots": 2},
    "uneven": {"uneven": True},
    "a fifth of others": {"strangers": 0.2},
    "a class outside": {"outside": 1},
}
SHOTS = 4


def _settings(protocol: str = "person+classes", **kinds: Any) -> PersonSettings:
    changes = {"protocol": protocol, "classes": (3,), "count": 6, "shots": SHOTS, "supports": kinds or KINDS}
    return PersonSettings(**changes)  # type: ignore[arg-type] (the protocol is a name)


def _drawn(dataset: IdentityDataset, settings: PersonSettings, *, seen: bool) -> dict[str, list[Person]]:
    kinds = {group.support for group in person_groups(settings)}
    return {kind: draw_persons(dataset, settings, size=3, seed=0, seen=seen, support=kind) for kind in kinds}


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("protocol", ["person+classes", "classes"])
def test_all_kinds_are_of_the_same_persons(protocol: str, seen: bool, digits: IdentityDataset):
    if protocol == "classes" and not seen:
        pytest.skip("subsets of classes are always seen")
    settings = _settings(protocol)
    dataset = digits if protocol == "classes" else split_for(people(), settings, seed=0)
    drawn, labels = _drawn(dataset, settings, seen=seen), dataset.y.numpy()
    for persons in zip(*(drawn[kind] for kind in KINDS), strict=True):
        usual, one, two, uneven, others, outside = persons
        assert len({person.identity for person in persons}) == 1
        assert usual.persons in ("person+3 classes", "3 classes")
        assert [person.persons for person in persons[1:]] == [f"{usual.persons}, {kind}" for kind in [*KINDS][1:]]
        by_class = usual.support.reshape(3, SHOTS)
        assert one.support.tolist() == by_class[:, :1].ravel().tolist()
        assert two.support.tolist() == by_class[:, :2].ravel().tolist()
        assert uneven.support.tolist() == [*by_class[0], *by_class[1, :2], *by_class[2, :1]]
        for same in (one, two, uneven, others):
            assert same.query.tolist() == usual.query.tolist()
        replaced = others.support[others.support != usual.support]
        assert len(replaced) == round(0.2 * 3 * SHOTS)
        classes = set(labels[usual.support])
        if dataset.identity is not None:
            assert not set(dataset.identity[replaced]) & set(dataset.identity[usual.support])
            assert set(labels[replaced]) <= classes
        else:
            assert not set(labels[replaced]) & classes
        more = np.setdiff1d(outside.query, usual.query)
        assert outside.support.tolist() == usual.support.tolist()
        assert len(more) == len(usual.query) // 3
        assert len(set(labels[more]) - classes) == len(set(labels[more])) == 1


def test_controls_have_as_many_samples(digits: IdentityDataset):
    for person in _drawn(digits, _settings("classes"), seen=True)["1 shot"]:
        assert len(person.twin) == len(person.swap) == len(person.support) == 3


@pytest.mark.parametrize(
    ("kinds", "error"),
    [
        ({"few": {"shot": 1}}, "did you mean 'shots'"),
        ({"few": {"shots": 9}}, "1 to persons.shots, 4"),
        ({"few": {"shots": True}}, "give a int"),
        ({"few": {"strangers": 1.0}}, r"in \[0, 1\)"),
        ({"few": 3}, "give a section"),
    ],
)
def test_bad_input_is_one_line(kinds: dict[str, Any], error: str):
    with pytest.raises(UserError, match=error):
        _settings(**kinds)


def test_too_few_other_classes_are_told(digits: IdentityDataset):
    settings = _settings("classes", far={"outside": 8})
    with pytest.raises(UserError, match=r"persons\.supports\.far: .* has 7 other classes, not 8"):
        draw_persons(digits, settings, size=3, seed=0, support="far")

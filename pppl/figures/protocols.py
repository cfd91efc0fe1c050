"""Protocols of a comparison: its rows by kind of persons, with a name and counts for each kind."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..tables.metric import ACCURACY, metric_of


def by_protocol(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each protocol with its name, in the order of the table.

    Seen and unseen people are different protocols; the name says which if there are both.

    >>> [name for name, _ in by_protocol(pd.DataFrame({"persons": ["person", "2 classes"], "seen": False}))]
    ['all classes of a person', 'persons of 2 classes']
    """
    both = len(frame["seen"].unique()) > 1
    panels = []
    for persons, of_protocol in frame.groupby("persons", sort=False):
        for seen, rows in of_protocol.groupby("seen", sort=False):
            whom = {"True": ", seen", "False": ", unseen"}[str(seen)] * both
            panels.append((name_persons(str(persons), frame) + whom, rows))
    return panels


def kind_of(persons: str) -> tuple[str, str]:
    """Return the protocol, and the kind of support sets if it has several.

    >>> kind_of("person+3 classes, 1 shot"), kind_of("2 classes")
    (('person+3 classes', '1 shot'), ('2 classes', ''))
    """
    protocol, _, kind = persons.partition(", ")
    return protocol, kind


def are_people(rows: pd.DataFrame) -> bool:
    """Return whether persons are people, not subsets of classes."""
    return str(rows["persons"].iloc[0]).startswith("person")


def count_protocols(rows: pd.DataFrame) -> str:
    """Return the number of person-seed pairs, and of different people if persons are people.

    >>> count_protocols(pd.DataFrame({"persons": ["person"], "n": [60], "people": [20]}))
    'n = 60, 20 people'
    """
    count, people = (int(rows[name].to_numpy().max()) for name in ("n", "people"))
    return f"n = {count}, {people} people" if are_people(rows) else f"n = {count}"


def counts_classes(rows: pd.DataFrame | Mapping[Any, Any]) -> bool:
    """Return whether samples are drawn by class: those of a table or a row in accuracy are."""
    return metric_of(rows) == ACCURACY


def all_of_a_person(rows: pd.DataFrame | Mapping[Any, Any]) -> str:
    """Return what a person has if they have all of it: classes, or samples where there are no classes.

    >>> all_of_a_person({"metric": "R2"})
    'all samples'
    """
    return "all classes" if counts_classes(rows) else "all samples"


def name_persons(persons: str, rows: pd.DataFrame | Mapping[Any, Any]) -> str:
    """Return a name for the kind of persons in a table or a row.

    >>> name_persons("2 classes", {}), name_persons("person+2 classes", {})
    ('persons of 2 classes', '2 classes of a person')
    """
    if persons == "person":
        return f"{all_of_a_person(rows)} of a person"
    own = persons.removeprefix("person+")
    return f"persons of {persons}" if own == persons else f"{own} of a person"

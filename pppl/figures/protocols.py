"""Who the persons of a comparison are: a table by protocol, in words and numbers."""

import pandas as pd


def by_protocol(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The frame by protocol, in the order of the table; seen and unseen people apart where there are both."""
    told = len(frame["seen"].unique()) > 1
    panels = []
    for persons, of_protocol in frame.groupby("persons", sort=False):
        for seen, rows in of_protocol.groupby("seen", sort=False):
            whom = {"True": ", seen", "False": ", unseen"}[str(seen)] * told
            panels.append((_protocol(str(persons)) + whom, rows))
    return panels


def are_people(rows: pd.DataFrame) -> bool:
    """Whether persons are people, and not subsets of classes."""
    return str(rows["persons"].iloc[0]).startswith("person")


def count_protocols(rows: pd.DataFrame) -> str:
    """`n = 60`, of people with their number."""
    count, people = (int(rows[name].to_numpy().max()) for name in ("n", "people"))
    return f"n = {count}, {people} people" if are_people(rows) else f"n = {count}"


def _protocol(persons: str) -> str:
    """`2 classes` as `persons of 2 classes`, `person+2 classes` as `2 classes of a person`."""
    if persons == "person":
        return "all classes of a person"
    own = persons.removeprefix("person+")
    return f"persons of {persons}" if own == persons else f"{own} of a person"

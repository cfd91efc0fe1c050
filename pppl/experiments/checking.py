"""Whether a results folder is whole, consistent and current."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import UserError
from .freshness import fingerprints
from .joining import Finished
from .opening import opened
from .results import COLUMNS, Row, key_of, table_text
from .summary import tables_of


def check(folder: str | Path) -> list[str]:
    """What is wrong with a results folder, one line each; nothing where all is well.

    Rows are current where today's code, settings and data would give them; where the data set is missing that cannot be
    told, which is a line, too.

    Raises `UserError` where the folder has no finished comparison.
    """
    finished = Finished.read(folder)
    return [*_rows(finished), *_tables(finished), *_outdated(finished)]


def _rows(finished: Finished) -> Iterator[str]:
    keys = [key_of(row) for row in finished.rows]
    if len(set(keys)) < len(keys):
        yield f"table.csv has {len(keys) - len(set(keys))} rows twice"
    of_person: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in finished.rows:
        of_person[row["seed"], row["persons"], row["seen"], row["identity"]].append(row)
    series = {(row["method"], row["control"], row["budget"]) for row in finished.rows}
    if lacking := sum(len(rows) < len(series) for rows in of_person.values()):
        yield f"table.csv lacks rows of {lacking} of {len(of_person)} persons"
    if several := sum(len({row["accuracy_full"] for row in rows}) > 1 for rows in of_person.values()):
        yield f"table.csv has {several} persons for whom the full network has several accuracies"
    for name in ("accuracy", "accuracy_full", "macs_fraction", "params_fraction"):
        if outside := sum(not 0 <= row[name] <= 1 for row in finished.rows):
            yield f"table.csv has {outside} rows whose {name} is outside [0, 1]"


def _tables(finished: Finished) -> Iterator[str]:
    for name, frame in tables_of(pd.DataFrame(finished.rows, columns=list(COLUMNS))).items():
        try:
            written = (finished.folder / name).read_text(encoding="utf-8")
        except OSError:
            yield f"{name} is missing"
            continue
        if written != table_text(frame):
            yield f"{name} does not follow from table.csv"


def _outdated(finished: Finished) -> Iterator[str]:
    try:
        experiment, dataset = opened(finished.experiment)
        current = fingerprints(experiment, dataset)
    except UserError as error:
        yield f"whether rows are current cannot be told: {error}"
        return
    stale = [method for method, each in finished.fingerprints.items() if current.get(method) != each]
    if stale:
        yield f"rows of {', '.join(stale)} are of other code, settings or data than today's"

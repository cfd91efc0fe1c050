"""The faults of a comparison of people: missing, contradictory or impossible rows, and tables that do not follow."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pandas as pd

from ..personalizers import make_personalizers
from ..system.errors import UserError
from ..tables.derived import derive_tables
from ..tables.journal import COLUMNS, TABLE, Row, key_of, table_text
from ..tables.metric import metric_of
from ..tables.schema import ODD_BYTES
from .merge import FinishedResults
from .person_plan import PersonPlan


def check_persons(finished: FinishedResults, plan: PersonPlan | UserError) -> Iterator[str]:
    """Yield the faults of the tables of a comparison of people, one line each.

    **Arguments:**

    - `plan`: today's plan of the comparison, or the error that prevents one. After an error, missing rows are found as
      far as the settings alone tell.
    """
    yield from _rows(finished)
    yield from _holes(finished, plan)
    yield from _tables(finished)


def _rows(finished: FinishedResults) -> Iterator[str]:
    """Yield rows that contradict each other, and numbers outside their range."""
    keys = [key_of(row) for row in finished.rows]
    if len(set(keys)) < len(keys):
        yield f"{TABLE} has {len(keys) - len(set(keys))} rows twice"
    rows_by_person: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in finished.rows:
        rows_by_person[row["seed"], row["persons"], row["seen"], row["identity"]].append(row)
    if several := sum(len({row["score_full"] for row in rows}) > 1 for rows in rows_by_person.values()):
        yield f"{TABLE} has {several} persons for whom the full network has several scores"
    if len({(row["task"], row["metric"]) for row in finished.rows}) > 1:
        yield f"{TABLE} has rows of several tasks or metrics"
    limits = metric_of(finished.rows[0]).limits if finished.rows else (0, 1)
    ranges = {"score": limits, "score_full": limits, "macs_fraction": (0, 1), "params_fraction": (0, 1)}
    for name, (low, high) in ranges.items():
        if outside := sum(not low <= row[name] <= high for row in finished.rows):
            yield f"{TABLE} has {outside} rows whose {name} is outside [{low:g}, {high:g}]"


def _holes(finished: FinishedResults, plan: PersonPlan | UserError) -> Iterator[str]:
    """Yield how many rows the table lacks, and how many it has beyond the experiment.

    Without a plan, compare the series of each seed instead of single rows.
    """
    if isinstance(plan, UserError):
        present = {(row["seed"], row["method"], row["control"], row["budget"]) for row in finished.rows}
        series = {
            (p.method, p.control, budget) for p in make_personalizers(finished.experiment) for budget in p.budgets
        }
        wanted, unit = {(seed, *each) for seed in finished.experiment.seeds for each in series}, "series of a seed"
    else:
        present, wanted, unit = {key_of(row) for row in finished.rows}, {*plan.keys()}, "rows"
    missing, unknown = wanted - present, present - wanted
    if missing:
        yield f"{TABLE} lacks {len(missing)} of {len(wanted)} {unit}"
    if unknown:
        yield f"{TABLE} has {len(unknown)} {unit} that its experiment has not"


def _tables(finished: FinishedResults) -> Iterator[str]:
    """Yield derived tables that are missing or do not follow from the rows."""
    columns = [name for name in COLUMNS if not finished.rows or name in finished.rows[0]]
    table = pd.DataFrame(finished.rows, columns=columns)
    for name, frame in derive_tables(table, finished.experiment).items():
        try:
            written = (finished.folder / name).read_bytes().decode("utf-8", ODD_BYTES)
        except OSError:
            yield f"{name} is missing"
            continue
        if written != table_text(frame):
            yield f"{name} does not follow from {TABLE}"

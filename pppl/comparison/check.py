"""Whether a results folder is whole, consistent and current."""

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
    """Yield what is wrong with the tables of a comparison of people, one line each.

    **Arguments:**

    - `plan`: today's plan of it, or why there is none; then holes are found as far as settings alone tell.
    """
    yield from _rows(finished)
    yield from _holes(finished, plan)
    yield from _tables(finished)


def _rows(finished: FinishedResults) -> Iterator[str]:
    keys = [key_of(row) for row in finished.rows]
    if len(set(keys)) < len(keys):
        yield f"{TABLE} has {len(keys) - len(set(keys))} rows twice"
    of_person: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in finished.rows:
        of_person[row["seed"], row["persons"], row["seen"], row["identity"]].append(row)
    if several := sum(len({row["score_full"] for row in rows}) > 1 for rows in of_person.values()):
        yield f"{TABLE} has {several} persons for whom the full network has several scores"
    if len({(row["task"], row["metric"]) for row in finished.rows}) > 1:
        yield f"{TABLE} has rows of several tasks or metrics"
    limits = metric_of(finished.rows[0]).limits if finished.rows else (0, 1)
    of = {"score": limits, "score_full": limits, "macs_fraction": (0, 1), "params_fraction": (0, 1)}
    for name, (low, high) in of.items():
        if outside := sum(not low <= row[name] <= high for row in finished.rows):
            yield f"{TABLE} has {outside} rows whose {name} is outside [{low:g}, {high:g}]"


def _holes(finished: FinishedResults, plan: PersonPlan | UserError) -> Iterator[str]:
    """Rows that the experiment comes to and the table has not, or the other way round; without the data set as far as
    the experiment itself tells.
    """
    if isinstance(plan, UserError):
        there = {(row["seed"], row["method"], row["control"], row["budget"]) for row in finished.rows}
        series = {
            (p.method, p.control, budget) for p in make_personalizers(finished.experiment) for budget in p.budgets
        }
        wanted, what = {(seed, *each) for seed in finished.experiment.seeds for each in series}, "series of a seed"
    else:
        there, wanted, what = {key_of(row) for row in finished.rows}, {*plan.keys()}, "rows"
    lacking, unknown = wanted - there, there - wanted
    if lacking:
        yield f"{TABLE} lacks {len(lacking)} of {len(wanted)} {what}"
    if unknown:
        yield f"{TABLE} has {len(unknown)} {what} that its experiment has not"


def _tables(finished: FinishedResults) -> Iterator[str]:
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

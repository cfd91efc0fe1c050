"""Whether a results folder is whole, consistent and current."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..config import Experiment
from ..data import IdentityDataset
from ..personalizers import make_personalizers
from ..system.errors import UserError
from ..tables.derived import derive_tables
from ..tables.journal import COLUMNS, TABLE, Row, key_of, table_text
from ..tables.metric import metric_of
from ..tables.provenance import Stamp, staleness
from ..tables.schema import ODD_BYTES
from .freshness import fingerprints
from .load import draw_groups, open_experiment
from .merge import FinishedResults


def check(folder: str | Path) -> list[str]:
    """What is wrong with a results folder, one line each; nothing where all is well.

    Rows are current where today's code, settings and data would give them; where the data set is missing that cannot be
    told, which is a line, too.

    Raises `UserError` where the folder has no finished comparison.
    """
    finished = FinishedResults.read(folder)
    try:
        data = open_experiment(finished.experiment)
    except UserError as error:
        data = error
    return [*_rows(finished), *_holes(finished, data), *_tables(finished), *_outdated(finished, data)]


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


_Opened = tuple[Experiment, IdentityDataset] | UserError


def _holes(finished: FinishedResults, data: _Opened) -> Iterator[str]:
    """Rows that the experiment comes to and the table has not, or the other way round; without the data set as far as
    the experiment itself tells.
    """
    if isinstance(data, UserError):
        there = {(row["seed"], row["method"], row["control"], row["budget"]) for row in finished.rows}
        series = {
            (p.method, p.control, budget) for p in make_personalizers(finished.experiment) for budget in p.budgets
        }
        wanted, what = {(seed, *each) for seed in finished.experiment.seeds for each in series}, "series of a seed"
    else:
        experiment, _ = data
        there = {key_of(row) for row in finished.rows}
        groups = [group for seed in experiment.seeds for group in draw_groups(experiment, seed)]
        wanted, what = {key for group in groups for unit in group.units() for key in unit.keys}, "rows"
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


def _outdated(finished: FinishedResults, data: _Opened) -> Iterator[str]:
    try:
        if isinstance(data, UserError):
            raise data
        current = fingerprints(*data)
    except UserError as error:
        yield f"whether rows are current cannot be told: {error}"
        return
    yield from stale_methods(finished.fingerprints, current)


def stale_methods(told: Mapping[str, object], current: Mapping[str, Stamp]) -> Iterator[str]:
    """What to say of methods whose stamps are not those of today."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for method, stamp in told.items():
        why = staleness(stamp, current[method]) if method in current else "of settings that are gone"
        reasons[why].append(method)
    for why, methods in reasons.items():
        if why:
            renewed = "; after a refactoring `pppl results confirm` renews their stamp"
            yield f"rows of {', '.join(methods)} are {why}{renewed * (not why.startswith('of other settings'))}"

"""The faults of a comparison on text tasks: missing rows, and a summary that does not follow from them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from ..config import TextExperiment
from ..tables.agreement import TOLERANCE
from ..tables.journal import TABLE, Row, key_of
from ..tables.task_statistics import AVERAGE
from .task_units import NAMES

_MEANS = ("score", "values", "task_bytes", "peak_memory_mib", "train_seconds")
_REFERENCES = ("full", "diff")


def check_tasks(experiment: TextExperiment, table: pd.DataFrame, summary: pd.DataFrame) -> Iterator[str]:
    """Yield the faults of the table and its summary, one line each.

    Intervals follow from single predictions, which the tables do not have. Only their order is checked: each interval
    must contain its mean.
    """
    missing = {"task", "method", "seed", "chosen", "tried", "learning_rate", *_MEANS} - {*table.columns}
    missing |= {"task", "method", "n", "score_low", "score_high", *_MEANS} - {*summary.columns}
    if missing:
        yield f"{TABLE} or summary.csv lacks column {min(missing)}"
        return
    rows: list[Row] = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    chosen = [row for row in rows if row["chosen"]]
    yield from _rows(experiment, rows, chosen)
    yield from _summary(experiment, chosen, summary)


def _rows(experiment: TextExperiment, rows: Sequence[Row], chosen: Sequence[Row]) -> Iterator[str]:
    """Yield repeated, missing and unknown rows."""
    twice = len(rows) - len({key_of(row, NAMES) for row in rows})
    if twice:
        yield f"{TABLE} has {twice} rows twice"
    present = [(row["task"], row["method"], row["seed"]) for row in chosen]
    wanted = {*product(experiment.tasks, experiment.methods, experiment.seeds)}
    if missing := wanted - {*present}:
        yield f"{TABLE} lacks {len(missing)} of {len(wanted)} chosen runs"
    if unknown := len(present) - len(wanted & {*present}):
        yield f"{TABLE} has {unknown} chosen runs that its experiment has not"
    searched = experiment.search_tasks or experiment.tasks
    first = [row for row in rows if row["task"] in searched and row["seed"] == experiment.seeds[0]]
    tried = {(row["task"], row["method"]): row["tried"] for row in first}
    for (task, method), count in tried.items():
        runs = sum((row["task"], row["method"]) == (task, method) for row in first)
        if runs != count:
            yield f"{TABLE} has {runs} runs of {method} on {task} with the first seed, {count} were tried"


def _summary(experiment: TextExperiment, chosen: Sequence[Row], summary: pd.DataFrame) -> Iterator[str]:
    """Yield rows of the summary that are missing or do not follow from the chosen runs."""
    tasks = [*experiment.tasks, *([AVERAGE] if len(experiment.tasks) > 1 else [])]
    runs: dict[tuple[str, str], list[Row]] = {}
    for task, row in product(tasks, chosen):
        if task in (AVERAGE, row["task"]):
            runs.setdefault((task, row["method"]), []).append(row)
    summary_rows = {(row["task"], row["method"]): row for row in summary.to_dict("records")}
    if missing := {*product(tasks, experiment.methods)} - summary_rows.keys():
        yield f"summary.csv lacks {len(missing)} of {len(tasks) * len(experiment.methods)} rows"
    for (task, method), row in summary_rows.items():
        references = {name: _mean(runs[task, name], "score") for name in _REFERENCES if (task, name) in runs}
        if (task, method) not in runs or not _follows(row, runs[task, method], references):
            yield f"summary.csv: {method} on {task} does not follow from {TABLE}"


def _mean(rows: Sequence[Row], name: str) -> float:
    """Return the mean over tasks of the mean over seeds."""
    tasks = dict.fromkeys(row["task"] for row in rows)
    return fmean(fmean(row[name] for row in rows if row["task"] == task) for task in tasks)


def _follows(summary_row: Any, rows: Sequence[Row], references: Mapping[str, float]) -> bool:
    """Return whether a row of the summary follows from its runs."""
    means = [(summary_row[name], _mean(rows, name)) for name in _MEANS]
    for name, score in references.items():
        if name != summary_row["method"]:
            means.append((summary_row[f"minus_{name}"], _mean(rows, "score") - score))
    close = all(bool(np.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)) for one, other in means)
    inside = summary_row["score_low"] - TOLERANCE <= summary_row["score"] <= summary_row["score_high"] + TOLERANCE
    return close and inside and summary_row["n"] == len({row["seed"] for row in rows})

"""The main table of a results folder, which answers its question, for each kind of folder."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from ..figures.accuracy_vs_macs import shown_budgets
from ..figures.looks import Looks, label_task
from ..tables.schema import settings_of
from .columns import Column
from .folder import FolderTables
from .grid import Choice, grid
from .html import Html
from .names import family_of, label_of, row_key, yes_or_no
from .table import Table, TableRow


def main_table(results: FolderTables) -> Html:
    """Return a table of the rows of `summary.csv`, or of a sweep's `trials.csv`."""
    if results.kind == "persons":
        return _of_persons(results.main, results.looks)
    return {"tasks": _of_tasks, "sweep": _of_sweep}[results.kind](results.main)


def _of_persons(summary: Table, looks: Looks) -> Html:
    metric = summary.metric
    whom = [(row["persons"], row["seen"]) for row in summary.rows]
    places = {each: place for place, each in enumerate(dict.fromkeys(whom))}
    table = _sorted(summary, lambda row: (places[row["persons"], row["seen"]], -metric.sign * row["score"]))
    table = table.with_columns(
        label=[label_of(row, looks) for row in table.rows],
        series=[row_key(row) for row in table.rows],
        less_full=[row["score"] - row["score_full"] for row in table.rows],
    )
    names = ["budget", "reference_minus_this", "holm_p", "macs_fraction", "artifact_bytes"]
    names += ["retrain_samples", "train_samples", "n", "people", "reference"]
    columns = [
        *_varying(table, {"dataset": "Data", "backbone": "Backbone", "persons": "Persons", "seen": "Seen"}),
        Column("label", "Method", "text"),
        table.column("score"),
        Column("less_full", f"Less full{metric.points}", "percent" if metric.percent else "plain"),
        *[table.column(name) for name in names if name in table.names],
        Column("series", "In the tables", "text"),
    ]
    choices = [
        Choice.by("Persons", [row["persons"] for row in table.rows]),
        Choice.by("Seen in training", [yes_or_no(row["seen"]) for row in table.rows]),
        budget_choice(table),
        Choice.by("Methods", [family_of(row) for row in table.rows]),
    ]
    return grid("Summary of methods", table, columns, choices)


def budget_choice(table: Table) -> Choice:
    """Return the drop-down of budgets; a row without budget is comparable with all and shown with each."""
    names = {budget: f"{budget * 100:g} %, or none" for budget in sorted(table.distinct("budget")) if budget < 1}
    every = [*names.values(), "none"]
    of_row = [[names[row["budget"]]] if row["budget"] < 1 else every for row in table.rows]
    return Choice("Budget", every, of_row, names.get(shown_budgets(pd.DataFrame(table.rows))[0], ""))


def _of_tasks(summary: Table) -> Html:
    tasks = sorted(
        summary.distinct("task"), key=lambda task: task != "average"
    )  # the average comes first: it is the answer
    places = {task: place for place, task in enumerate(tasks)}
    table = _sorted(summary, lambda row: (places[row["task"]], -row["score"]))
    table = table.with_columns(label=[label_task(row["method"]) for row in table.rows])
    names = [
        "score",
        "metric",
        "minus_full",
        "minus_diff",
        "values",
        "task_bytes",
        "peak_memory_mib",
        "train_seconds",
        "n",
    ]
    columns = [
        *_varying(table, {"encoder": "Encoder", "task": "Task"}),
        Column("label", "Way to adapt", "text"),
        *[table.column("rate")] * ("rate" in table.names and len(table.distinct("rate")) > 1),
        *[table.column(name) for name in names if name in table.names],
        Column("method", "In the tables", "text"),
    ]
    choices = [
        Choice.by("Task", [row["task"] for row in table.rows]),
        Choice.by("Way to adapt", [row["label"] for row in table.rows]),
    ]
    return grid("Summary of tasks", table, columns, choices)


def _of_sweep(trials: Table) -> Html:
    table = _sorted(
        trials, lambda row: (row["feasible"] != "True", math.isnan(row["score"]), -trials.metric.sign * row["score"])
    )
    names = ["trial", "state", "score", "own_minus_other", "macs_fraction", "feasible", "best", "pareto", "seconds"]
    same = {name for name in ("state", "feasible") if len(table.distinct(name)) == 1}
    columns = [
        table.column(name)
        for name in [*names, *settings_of(table.names), "folder", "run"]
        if name in table.names and name not in same
    ]
    choices = [
        Choice.by("State", [row["state"] for row in table.rows]),
        Choice.by("Constraints kept", [yes_or_no(row["feasible"]) for row in table.rows]),
    ]
    return grid("Trials", table, columns, choices)


def _sorted(table: Table, by: Callable[[TableRow], Any]) -> Table:
    return Table(table.names, sorted(table.rows, key=by))


def _varying(table: Table, titles: Mapping[str, str]) -> list[Column]:
    """Return the columns of `titles` that exist and are not the same in all rows."""
    there = [name for name in titles if name in table.names and len(table.distinct(name)) > 1]
    return [Column(name, titles[name], "text") for name in there]

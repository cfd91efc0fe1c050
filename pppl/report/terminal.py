"""Summaries for the terminal: tables to read in ten seconds."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..figures.accuracy_vs_macs import shown_budgets
from ..system.printable import align
from ..tables.metric import ACCURACY, Metric, metric_of
from ..tables.schema import settings_of
from .trained_on import trained_on

_MOST_TASKS = 5
_MOST_PROTOCOLS = 4  # side by side
_UNITS = {"macs": "MACs", "params": "parameters"}


def as_text(summary: pd.DataFrame, unit: str = "macs", effort: pd.DataFrame | None = None) -> str:
    """Return a table of the score of every method at one budget; a column for each protocol, four side by side.

    Accuracies are in %, and all have 95 % intervals. The budget is the first of `shown_budgets`. Methods that do not
    prune come first.

    ```python
    print(as_text(pd.read_csv("results/digits/summary.csv")))
    ```

    **Arguments:**

    - `summary`: `summary.csv` of a comparison on persons.
    - `unit`: of the budget, `macs` or `params`.
    - `effort`: `effort.csv`, which tells the samples and steps of a training on the person apart.
    """
    budget = shown_budgets(summary)[0]
    records: list[Any] = summary.to_dict("records")
    of_effort: list[Any] = [] if effort is None else effort.to_dict("records")
    pruning = {(row["method"], row["control"]) for row in records if row["budget"] == budget}
    shown = [row for row in records if row["budget"] == (budget if _series(row) in pruning else 1.0)]
    shown.sort(key=lambda row: -row["budget"])
    protocols = list(dict.fromkeys(map(_protocol, shown)))
    rows = [["method", "MACs", *protocols, "trained on"]]
    for method, control in dict.fromkeys(map(_series, shown)):
        same = [row for row in shown if _series(row) == (method, control)]
        cells = {_protocol(row): _cell(row) for row in same}
        macs = sum(row["macs_fraction"] for row in same) / len(same)
        trained = trained_on(same, of_effort) or "nothing"
        name = f"{method} {control}".strip()
        rows.append([name, f"{macs:.1%}", *[cells.get(protocol, "") for protocol in protocols], trained])
    title = f"{_title(summary)} [95 % interval] at a budget of {budget:g} of the full network's {_UNITS[unit]}"
    titles = [f"{title}; samples trained on beyond it", *[""] * len(protocols)]
    parts = [
        slice(at, min(at + _MOST_PROTOCOLS, len(rows[0]) - 1)) for at in range(2, len(rows[0]) - 1, _MOST_PROTOCOLS)
    ]
    tables = [[[*row[:2], *row[part], row[-1]] for row in rows] for part in parts]
    return "\n".join(_aligned(*each) for each in zip(titles, tables, strict=False))


def tasks_as_text(summary: pd.DataFrame) -> str:
    """Return a table of the score of every method on every task, and of the mean costs of a task.

    Scores are in %, with 95 % intervals. If there are more than five tasks, only the average is shown, so that a line
    fits a screen.
    """
    tasks = list(dict.fromkeys(summary["task"]))
    tasks = tasks if len(tasks) <= _MOST_TASKS else tasks[-1:]
    rows = [["method", *tasks, "values", "kB", "peak MiB"]]
    for method, group in summary.groupby("method", sort=False):
        cells = {str(row["task"]): _cell(row, "score") for row in group.to_dict("records")}
        means = group[["values", "task_bytes", "peak_memory_mib"]].mean()
        costs = [f"{means['values']:,.0f}", f"{means['task_bytes'] / 1e3:,.0f}", f"{means['peak_memory_mib']:,.0f}"]
        rows.append([str(method), *[cells[task] for task in tasks], *costs])
    return _aligned("Score in % [95 % interval]; values, bytes and memory of a task", rows)


def tuning_as_text(tuned: pd.DataFrame) -> str:
    """Return a table of the validation score of every setting; the chosen setting of a method is marked."""
    rows = [["method", "setting", metric_of(tuned).title, ""]]
    for row in tuned.to_dict("records"):
        rows.append([str(row["method"]), str(row["settings"]), _cell(row), "chosen" if row["chosen"] else ""])
    return _aligned(f"{_title(tuned)} [95 % interval] on validation persons", rows)


def sweep_as_text(trials: pd.DataFrame) -> str:
    """Return a table of the ten best trials of a sweep: the best, those on the front, then others by score."""
    return _aligned(f"The best of {len(trials)} trials, on validation persons", best_trials(trials))


def best_trials(trials: pd.DataFrame) -> list[list[str]]:
    """Return the cells of `sweep_as_text`: a head, and a row for each of the ten best trials."""
    keys = settings_of(trials.columns)
    metric = metric_of(trials)
    rows = [["trial", metric.title, "own - other", "MACs", "", *keys]]
    marks = [name for name in ("best", "pareto", "feasible") if name in trials.columns]
    best = trials.sort_values([*marks, "score"], ascending=False, kind="stable").head(10)
    for row in best.to_dict("records"):
        if row["state"] == "complete":
            marked = ["best"] * row["best"] + ["front"] * row.get("pareto", False)
            marked += ["constraints fail"] * (not row["feasible"])
        else:
            marked = ["ended early"]
        measured = [_value_in(metric, row[name]) for name in ("score", "own_minus_other")]
        measured.append(_value_in(ACCURACY, row["macs_fraction"]))
        rows.append([str(row["trial"]), *measured, ", ".join(marked), *(_value(row[key]) for key in keys)])
    return rows


def _title(frame: pd.DataFrame) -> str:
    metric = metric_of(frame)
    return f"{metric.heading}{' in %' * metric.percent}"


def _value_in(metric: Metric, value: Any) -> str:
    return "" if pd.isna(value) else f"{metric.show(value)}{'%' * metric.percent}"


def _value(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _aligned(title: str, rows: list[list[str]]) -> str:
    lines = align(rows)
    return "\n".join([title, "", lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _protocol(row: Mapping[Any, Any]) -> str:
    """Return the name of a kind of persons; people are seen or unseen in training."""
    persons = str(row["persons"])
    return (
        f"{persons}, {'seen' if row['seen'] else 'unseen'}" if persons.startswith("person") else f"persons of {persons}"
    )


def _series(row: Mapping[Any, Any]) -> tuple[str, str]:
    return row["method"], row["control"]


def _cell(row: Mapping[Any, Any], name: str = "score") -> str:
    value, low, high = (metric_of(row).show(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return f"{value:>5} [{low}, {high}]"

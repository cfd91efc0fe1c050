"""LaTeX tables for papers: one booktabs `tabular` each, without `table` or caption."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from ..system.printable import printable
from ..tables.metric import metric_of
from ..tables.schema import with_names
from .accuracy_vs_macs import shown_series
from .looks import BUILT_IN, Looks, label_task, task_rank
from .protocols import by_protocol
from .retraining import samples_of
from .significance import clear_best

_SPECIAL = {letter: f"\\{letter}" for letter in "&%$#_{}"}
_SPECIAL |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
_SPECIAL |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}"}
_SPECIAL |= {'"': r"\symbol{34}"}  # otherwise a shorthand of the babel package
_SPECIAL |= {"[": "{[}", "]": "{]}", "*": "{*}"}  # otherwise arguments of the line end before


def escape(text: str) -> str:
    r"""Return text with the special characters of LaTeX escaped.

    >>> print(escape("a & b_1"))
    a \& b\_1
    """
    return (
        "".join(_SPECIAL.get(letter, letter) for letter in printable(text)).replace("--", "-{}-").replace("--", "-{}-")
    )


def accuracy_table(summary: pd.DataFrame, table: pd.DataFrame, budget: float, *, looks: Looks = BUILT_IN) -> str:
    """Return scores (accuracies in %) as LaTeX: a row for each method that figures show, a column for each protocol.

    Cells hold the mean with its 95 % interval. Methods that do not prune stand apart, above those at the budget. The
    best at the budget is bold if it is significantly better than the next (`clear_best`).

    ```python
    print(accuracy_table(pd.read_csv("summary.csv"), pd.read_csv("table.csv.gz"), 0.1))
    ```

    **Arguments:**

    - `summary`, `table`: `summary.csv` and `table.csv.gz` of a comparison on persons.
    - `budget`: a fraction of the full network, in (0, 1].
    - `looks`: of the experiment; by default the built-in ones.
    """
    summary = with_names(summary)
    table = with_names(table)
    series, of_protocol = shown_series(summary, looks), dict(by_protocol(summary))
    pruning = set(_series(summary.loc[summary["budget"] < 1]))
    at_budget = set(_series(summary.loc[summary["budget"] == budget])) & pruning
    bold = {}
    if budget < 1:
        bold = {name: _best(rows.loc[rows["budget"] == budget], looks) for name, rows in by_protocol(table)}
    labels = {key: escape(looks.look(*key).label) for key in series}
    blocks = [
        [[labels[key], *_cells(key, 1.0, of_protocol, {})] for key in series if key not in pruning],
        [[labels[key], *_cells(key, budget, of_protocol, bold)] for key in series if key in at_budget],
    ]
    header = ["method", *map(escape, of_protocol), "samples trained on"]
    return tabular(header, blocks)


def scores_table(summary: pd.DataFrame) -> str:
    """Return scores times 100 as LaTeX: a row for each way to adapt an encoder, a column for each task.

    Cells hold the mean with its 95 % interval. The last column is the mean size of a task in kB.

    **Arguments:**

    - `summary`: `summary.csv` of a comparison on text tasks.
    """
    summary = with_names(summary)
    tasks = list(dict.fromkeys(summary["task"]))
    rows = []
    for method in sorted(set(summary["method"]), key=task_rank):
        of_task = {row["task"]: row for row in summary.loc[summary["method"] == method].to_dict("records")}
        size = summary.loc[summary["method"] == method, "task_bytes"].mean() / 1e3
        cells = [_cell(of_task[task], "score") if task in of_task else "" for task in tasks]
        rows.append([escape(label_task(method)), *cells, "" if pd.isna(size) else f"{size:,.0f}"])
    return tabular(["method", *map(escape, tasks), "kB a task"], [rows])


def tabular(header: Sequence[str], blocks: Iterable[Sequence[Sequence[str]]]) -> str:
    """Return a booktabs `tabular` with a rule above each block of rows.

    **Arguments:**

    - `header`, `blocks`: cells, which are LaTeX already.
    """
    lines = [f"\\begin{{tabular}}{{l{'c' * (len(header) - 2)}r}}", "\\toprule", _line(header)]
    for block in blocks:
        lines += ["\\midrule", *map(_line, block)] if block else []
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _line(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _series(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(frame["method"], frame["control"], strict=True))


def _best(rows: pd.DataFrame, looks: Looks) -> tuple[str, str] | None:
    """Return the clear best of the shown series; `rows` are of `table.csv.gz` for one protocol and budget."""
    keys, shown = _series(rows), {" ".join(key): key for key in shown_series(rows, looks)}
    best = (
        clear_best({name: rows.loc[[each == key for each in keys]] for name, key in shown.items()}) if shown else None
    )
    return None if best is None else shown[best]


def _cells(
    key: tuple[str, str], budget: float, of_protocol: dict[str, pd.DataFrame], bold: dict[str, Any]
) -> list[str]:
    cells, samples = [], []
    for name, rows in of_protocol.items():
        found = rows.loc[(rows["method"] == key[0]) & (rows["control"] == key[1]) & (rows["budget"] == budget)]
        for row in found.to_dict("records"):
            cells.append(_cell(row, "score", bold=bold.get(name) == key))
            samples.append(round(samples_of(row)))
        cells += [""] * (not len(found))
    least, most = min(samples, default=0), max(samples, default=0)
    trained = f"{least:,}" if least == most else f"{least:,}--{most:,}"
    return [*cells, trained if most else "none"]


def _cell(row: Any, name: str, *, bold: bool = False) -> str:
    metric = metric_of(row)
    value, low, high = (metric.show(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    interval = f"[{low}, {high}]"
    mean = f"\\textbf{{{value}}}" if bold else value
    return f"{mean} {interval}"

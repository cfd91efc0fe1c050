"""Markdown of results: answers to the questions of experiments, and tables of scores."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from ..figures.accuracy_vs_macs import shown_budgets
from ..figures.looks import Looks
from ..system.errors import UserError
from ..system.files import expand
from ..tables.metric import metric_of
from .folder import FolderTables, read_results, told_apart
from .names import label_of
from .practice import is_unseen, practice, whom
from .table import TableRow


def headline(results: FolderTables) -> float:
    """Return the budget at which results are reported: the first of `shown_budgets`."""
    return shown_budgets(pd.DataFrame(results.main.rows))[0]


def answers_of(folders: Sequence[str | Path], *, budget: float | None = None, seen: bool = True) -> str:
    """Return the answers of comparisons on persons: a numbered list, one line for each of their questions.

    ```python
    print(answers_of(["results/digits", "results/keywords"], budget=0.1))
    ```

    **Arguments:**

    - `budget`: of all answers; by default the first that figures of the first folder show.
    - `seen`: whether people whose samples were in training are included.

    Raise `UserError` if a folder does not hold a comparison on persons.
    """
    read = told_apart([read_persons(folder) for folder in folders])
    lines = practice(read, headline(read[0]) if budget is None else budget, seen=seen)
    return "\n".join(f"{number}. **{line.question}**: {line.told}." for number, line in enumerate(lines, 1))


def accuracies_of(
    folders: Sequence[str | Path], budget: float, methods: Sequence[str] = (), *, seen: bool = True
) -> str:
    """Return a table of scores (accuracies in %): a row for each method, a column for each kind of persons.

    Cells hold the mean and its 95 % interval, with the own samples only. The label of a method that does not prune says
    that it takes all MACs. The first row has the average number of queries of a person, if all tables have it.

    ```python
    print(accuracies_of(["results/digits"], 0.1, ["full", "ppp", "l1_local+retrain"]))
    ```

    **Arguments:**

    - `budget`: of the methods that prune.
    - `methods`: rows in this order; all methods by default.
    - `seen`: whether people whose samples were in training have a column.

    Raise `UserError` if a folder does not hold a comparison on persons.
    """
    read = told_apart([read_persons(folder) for folder in folders])
    shown = [(row, each.looks) for each in read for row in each.main.rows if _is_shown(row, budget, seen)]
    rows = [row for row, _ in shown]
    columns = list(dict.fromkeys(whom(row) for row in rows))
    queries = {whom(row): row.get("queries", "") for row in rows}
    cells = {(str(row["method"]), whom(row)): _cell(row) for row in rows}
    labels = {str(row["method"]): _label(row, looks) for row, looks in shown}
    named = [method for method in (methods or labels) if method in labels]
    body: list[list[str]] = []
    if all(queries.values()):
        body = [["queries of a person", *(f"{float(queries[column]):.0f}" for column in columns)]]
    body += [[labels[method], *(cells.get((method, column), "-") for column in columns)] for method in named]
    head = ["", *columns]
    return markdown_table(head, body).replace("|  |", "| |")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown.

    >>> print(markdown_table(["a", "b"], [["1", "2"]]))
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def _is_shown(row: TableRow, budget: float, seen: bool) -> bool:
    return row["budget"] in (budget, 1.0) and row["control"] in ("", "own") and (seen or is_unseen(row))


def _label(row: TableRow, looks: Looks) -> str:
    return f"{label_of(row, looks)}, `{row['method']}`" + ", all MACs" * (row["budget"] == 1)


def _cell(row: TableRow) -> str:
    mean, low, high = (metric_of(row).show(float(row[f"score{end}"])) for end in ("", "_low", "_high"))
    return f"{mean} [{low}, {high}]"


def read_persons(folder: str | Path) -> FolderTables:
    """Read a comparison on persons. Raise `UserError` if the folder holds anything else."""
    folder = expand(folder)
    results = read_results(folder)
    if results.kind != "persons":
        raise UserError(f"{folder} is not a comparison on persons: name folders of `pppl compare`")
    return results

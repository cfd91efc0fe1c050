"""What results come to, as Markdown: lines of what to do, and tables of accuracies."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..figures.accuracy_vs_macs import shown_budgets
from ..system.errors import UserError
from .folder import FolderTables, read_results
from .names import label_of
from .practice import is_unseen, practice, whom
from .table import TableRow


def headline(results: FolderTables) -> float:
    """Return the budget that all is told at."""
    return shown_budgets(pd.DataFrame(results.main.rows))[0]


def answers_of(folders: Sequence[Path], *, budget: float | None = None, seen: bool = True) -> str:
    """Return what comparisons on persons come to, a numbered list with a line for each of their questions.

    **Arguments:**

    - `budget`: at which all is told; by default that of the first folder's figures.
    - `seen`: whether people whose samples were in training are told of, too.

    Raises `UserError` where a folder is none of a comparison on persons.
    """
    read = [_of_persons(folder) for folder in folders]
    lines = practice(read, headline(read[0]) if budget is None else budget, seen=seen)
    return "\n".join(f"{number}. **{line.question}**: {line.told}." for number, line in enumerate(lines, 1))


def accuracies_of(folders: Sequence[Path], budget: float, methods: Sequence[str] = (), *, seen: bool = True) -> str:
    """Return a table of accuracies in % with their 95 % intervals: a row for each method, a column for each kind of
    persons, at a budget or, of what does not prune, at all MACs, which its label says. The first row has how many
    queries a person has on average.

    **Arguments:**

    - `methods`: those that have a row, all by default; controls but the own samples are left out.
    - `seen`: whether people whose samples were in training have a column, too.

    Raises `UserError` where a folder is none of a comparison on persons.
    """
    rows = [row for folder in folders for row in _of_persons(folder).main.rows if _is_told(row, budget, seen)]
    columns = list(dict.fromkeys(whom(row) for row in rows))
    queries = {whom(row): row.get("queries", "") for row in rows}
    cells = {(str(row["method"]), whom(row)): _cell(row) for row in rows}
    labels = {str(row["method"]): _label(row) for row in rows}
    named = [method for method in (methods or labels) if method in labels]
    told: list[list[str]] = []
    if all(queries.values()):
        told = [["queries of a person", *(f"{float(queries[column]):.0f}" for column in columns)]]
    told += [[labels[method], *(cells.get((method, column), "-") for column in columns)] for method in named]
    head = ["", *columns]
    return "\n".join(f"| {' | '.join(each)} |" for each in (head, ["---"] * len(head), *told)).replace("|  |", "| |")


def _is_told(row: TableRow, budget: float, seen: bool) -> bool:
    return row["budget"] in (budget, 1.0) and row["control"] in ("", "own") and (seen or is_unseen(row))


def _label(row: TableRow) -> str:
    return f"{label_of(row)}, `{row['method']}`" + ", all MACs" * (row["budget"] == 1)


def _cell(row: TableRow) -> str:
    mean, low, high = (f"{100 * float(row[f'accuracy{end}']):.1f}" for end in ("", "_low", "_high"))
    return f"{mean} [{low}, {high}]"


def _of_persons(folder: Path) -> FolderTables:
    results = read_results(folder)
    if results.kind != "persons":
        raise UserError(f"{folder} is no comparison on persons: name folders of `pppl compare`")
    return results

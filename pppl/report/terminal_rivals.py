"""Lines for the terminal on the controls and free baselines that beat the best methods of a comparison."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from ..figures.accuracy_vs_macs import shown_budgets
from ..figures.protocols import by_protocol
from ..tables.metric import metric_of
from ..tables.rivals import CONTROLS, rivals
from .answer_rivals import tell_points
from .names import row_key
from .table import TableRow

_NEEDED = ["method", "control", "budget", "seed", "identity", "score"]


def rivals_as_text(summary: pd.DataFrame, table: pd.DataFrame) -> str:
    """Return what beats the best method of each kind of persons, and the best one with a mask of the person's own.

    Each line names a method and every control and free baseline with a better score on the same persons at the same
    budget, with the paired difference and its 95 % interval. Those whose interval holds 0 are named apart.

    ```python
    print(rivals_as_text(pd.read_csv("results/digits/summary.csv"), load_frame(Path("results/digits/table.csv.gz"))))
    ```

    **Arguments:**

    - `summary`, `table`: `summary.csv` and `table.csv.gz` of a comparison on persons.
    """
    budget = shown_budgets(summary)[0]
    keys = ["dataset", "backbone", "persons", "seen"]
    lines: list[str] = []
    for _, of_data in summary.groupby(keys[:2], sort=False):
        for name, rows in by_protocol(of_data):
            same: Any = table.merge(rows[keys].drop_duplicates(), on=keys)[_NEEDED]
            records: list[Any] = rows.to_dict("records")
            scores: list[Any] = same.to_dict("records")
            lines += [f"{name}: {_beaten(praised, records, scores)}" for praised in best_methods(records, budget)]
    return "\n".join([_head("methods", summary), *lines]) if lines else ""


def _head(praised: str, frame: pd.DataFrame) -> str:
    unit = " (points)" if metric_of(frame).percent else ""
    return f"Controls and free baselines that do better than the best {praised}, on the same persons{unit}"


def _beaten(praised: TableRow, summary: Iterable[TableRow], rows: Iterable[TableRow]) -> str:
    better = [rival for rival in rivals(praised, summary, rows) if rival.beats]
    clear, near = (
        "; ".join(f"{row_key(each.row)} {tell_points(each)}" for each in better if each.is_told_apart == apart)
        for apart in (True, False)
    )
    behind = f"; behind these, but not told apart: {near}" if near else ""
    return f"{row_key(praised)} is beaten by {clear or 'nothing'}{behind}"


def baselines_as_text(table: pd.DataFrame) -> str:
    """Return what beats the best trial of a sweep, for each kind of persons.

    ```python
    print(baselines_as_text(load_frame(Path("results/digits_ppp/baselines.csv"))))
    ```

    **Arguments:**

    - `table`: `baselines.csv` of a sweep.
    """
    lines = []
    for name, rows in by_protocol(table):
        records: list[Any] = rows.to_dict("records")
        praised = reference_row(records)
        lines += [] if praised is None else [f"{name}: {_beaten(praised, records, ())}"]
    return "\n".join([_head("trial", table), *lines])


def reference_row(summary: Iterable[TableRow]) -> TableRow | None:
    """Return the row of the reference of a summary, with the person's own samples; None if it has none.

    >>> reference_row([{"method": "ppp", "control": "own", "reference": ""}, {"method": "l1", "reference": "ppp"}])
    {'method': 'ppp', 'control': 'own', 'reference': ''}
    """
    rows = list(summary)
    names = {row["reference"] for row in rows if isinstance(row["reference"], str) and row["reference"]}
    return next((row for row in rows if row["method"] in names and row["control"] in ("", "own")), None)


def best_methods(summary: Sequence[TableRow], budget: float) -> list[TableRow]:
    """Return the best method at a budget, and the best one that has controls; one row if both are the same.

    >>> best_methods([{"method": "l1", "control": "", "budget": 0.1, "score": 0.9}], 0.1)[0]["method"]
    'l1'
    """
    with_controls = {row["method"] for row in summary if row["control"] in CONTROLS}
    rows = [row for row in summary if row["budget"] == budget and row["control"] in ("", "own")]
    rows = [row for row in rows if row["method"] != "full"]
    ranked = sorted(rows, key=lambda row: -metric_of(row).sign * row["score"])
    personal = [row for row in ranked if row["method"] in with_controls]
    return list({row["method"]: row for row in [*ranked[:1], *personal[:1]]}.values())

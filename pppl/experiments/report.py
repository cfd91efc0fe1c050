"""The summary as a table that a person can read in ten seconds."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

_SHOWN = 0.1
_UNITS = {"macs": "MACs", "params": "parameters"}


def as_text(summary: pd.DataFrame, unit: str = "macs") -> str:
    """Accuracy in %, with its 95 % interval, of every method at one budget; a column per protocol.

    The budget is that nearest to 0.1; methods that do not prune come first.
    """
    budgets = [budget for budget in summary["budget"].unique().tolist() if budget < 1]
    budget = min(budgets, key=lambda each: abs(each - _SHOWN), default=1.0)
    records = summary.to_dict("records")
    pruning = {(row["method"], row["control"]) for row in records if row["budget"] == budget}
    shown = [row for row in records if row["budget"] == (budget if _series(row) in pruning else 1.0)]
    shown.sort(key=lambda row: -row["budget"])
    protocols = list(dict.fromkeys(map(_protocol, shown)))
    rows = [["method", "MACs", *protocols, "retrained on"]]
    for method, control in dict.fromkeys(map(_series, shown)):
        same = [row for row in shown if _series(row) == (method, control)]
        cells = {_protocol(row): _cell(row) for row in same}
        samples = sum(row["retrain_samples"] for row in same) / len(same)
        macs = sum(row["macs_fraction"] for row in same) / len(same)
        retrained = f"{samples:,.0f} samples" if samples else "nothing"
        name = f"{method} {control}".strip()
        rows.append([name, f"{macs:.1%}", *[cells.get(protocol, "") for protocol in protocols], retrained])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    title = f"Accuracy in % [95 % interval] at a budget of {budget:g} of the full network's {_UNITS[unit]}"
    return "\n".join([title, "", lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _protocol(row: Mapping[Any, Any]) -> str:
    """Who the persons are; people are seen or unseen in training."""
    persons = str(row["persons"])
    return (
        f"{persons}, {'seen' if row['seen'] else 'unseen'}" if persons.startswith("person") else f"persons of {persons}"
    )


def _series(row: Mapping[Any, Any]) -> tuple[str, str]:
    return row["method"], row["control"]


def _cell(row: Mapping[Any, Any]) -> str:
    return f"{row['accuracy'] * 100:5.1f} [{row['accuracy_low'] * 100:.1f}, {row['accuracy_high'] * 100:.1f}]"

"""Data frames that show each mean with its interval."""

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd

from ..system.printable import align

# Columns shown of `summary.csv` and the like, which are wider than a screen, with their heads. Keys come first.
_HEADS = {
    "dataset": "data",
    "backbone": "backbone",
    "persons": "persons",
    "seen": "seen",
    "task": "task",
    "method": "method",
    "control": "control",
    "against": "against",
    "budget": "budget",
    "key": "setting",
    "accuracy": "accuracy (%)",
    "score": "score (%)",
    "gain": "gain (points)",
    "area": "area (%)",
    "macs_within_1": "MACs within 1 point (%)",
    "macs_within_3": "MACs within 3 points (%)",
    "importance": "importance (%)",
    "reference_minus_this": "reference's lead (points)",
    "reference": "reference",
    "minus_full": "less full (points)",
    "holm_p": "p (Holm)",
    "macs_fraction": "MACs (%)",
    "artifact_bytes": "kB",
    "task_bytes": "kB",
    "retrain_samples": "retrained on (samples)",
    "train_samples": "trained for all on (samples)",
    "n": "n",
}
_KEYS = ("dataset", "backbone", "persons", "seen", "task", "method", "control", "against", "budget")
_SCALES = {"artifact_bytes": 1e-3, "task_bytes": 1e-3}
_SCALES |= dict.fromkeys(("n", "retrain_samples", "train_samples", "holm_p", "budget"), 1)


class ResultsFrame(pd.DataFrame):
    """A data frame that shows means in % with their 95 % intervals, in a notebook or a terminal.

    It shows the main columns only, and names keys that are the same in every row below. All columns can be worked with.
    A frame without intervals is shown as pandas shows it.

    >>> ResultsFrame({"method": ["l1", "ppp"], "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95})
    method  accuracy (%)
    l1      90.0 [80.0, 95.0]
    ppp     90.0 [80.0, 95.0]
    """

    @property
    def _constructor(self) -> Any:
        return ResultsFrame

    def __repr__(self) -> str:
        """Return the frame as aligned text."""
        if (cells := _cells(self)) is None:
            return super().__repr__()
        head, rows, notes = cells
        return "\n".join([*align([head, *rows]), *([f"({notes})"] if notes else [])])

    def _repr_html_(self) -> str | None:
        """Return the frame as an HTML table, for notebooks."""
        if (cells := _cells(self)) is None:
            return super()._repr_html_()  # type: ignore[misc] (pandas-stubs lacks it)
        head, rows, notes = cells
        return f"<div>{table_as_html(head, rows)}{f'<p>{escape(notes)}</p>' if notes else ''}</div>"


def _cells(frame: pd.DataFrame) -> tuple[list[str], list[list[str]], str] | None:
    """Return heads, cells and notes below them; None if a table has no intervals."""
    heads = [name for name in frame.columns if name in _HEADS]
    if not any(f"{name}_low" in frame.columns for name in heads):
        return None
    same = [name for name in heads if name in _KEYS and len(frame) > 1 and len(set(frame[name])) == 1]
    shown = [name for name in _HEADS if name in heads and name not in same and set(frame[name].notna()) != {False}]
    rows = [[_cell(row, name) for name in shown] for row in frame.head(_rows_shown(len(frame))).to_dict("records")]
    constant = [f"{_HEADS[name]}: {_plain(frame[name].iloc[0])}" for name in same if str(frame[name].iloc[0])]
    left = len(frame) - len(rows)
    notes = [", ".join(constant)] * bool(constant) + [f"{left:,} more rows"] * bool(left)
    return [_HEADS[name] for name in shown], rows, "; ".join(notes)


def table_as_html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table whose cells do not wrap."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    cells = ["".join(f"<td style='white-space:nowrap'>{escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table><thead><tr>{heads}</tr></thead><tbody><tr>{'</tr><tr>'.join(cells)}</tr></tbody></table>"


def _rows_shown(count: int) -> int:
    most = pd.get_option("display.max_rows")
    return count if most is None or count <= most else pd.get_option("display.min_rows") or most


def _cell(row: dict[Any, Any], name: str) -> str:
    value = row[name]
    if name in _KEYS or name == "key" or isinstance(value, str):
        return _plain(value)
    if pd.isna(value):
        return ""
    scale = _SCALES.get(name, 100)
    if isinstance(row.get(f"{name}_low"), float) and isinstance(row.get(f"{name}_high"), float):
        return f"{scale * value:.1f} [{scale * row[f'{name}_low']:.1f}, {scale * row[f'{name}_high']:.1f}]"
    return f"{value:.2g}" if name == "holm_p" else f"{scale * value:,.{int(scale != 1)}f}"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

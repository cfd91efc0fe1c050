"""Data frames that show each mean with its interval."""

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd

from ..system.printable import align
from ..tables.metric import ACCURACY, Metric, metric_of
from ..tables.schema import COLUMN_TYPES
from .columns import title_of

# Columns shown of `summary.csv` and the like, which are wider than a screen. Keys come first.
_KEYS = ("dataset", "backbone", "persons", "seen", "task", "method", "control", "against", "budget")
_SHOWN = (
    *(*_KEYS, "key", "score", "gain", "area", "macs_within_1", "macs_within_3", "importance"),
    *("reference_minus_this", "reference", "minus_full", "holm_p", "macs_fraction", "artifact_bytes", "task_bytes"),
    *("retrain_samples", "train_samples", "n"),
)


class ResultsFrame(pd.DataFrame):
    """A data frame that shows means (accuracy in %) with their 95 % intervals, in a notebook or a terminal.

    It shows the main columns only, and names keys that are the same in every row below. All columns can be worked with.
    A frame without intervals is shown as pandas shows it.

    >>> ResultsFrame({"method": ["l1", "ppp"], "score": 0.9, "score_low": 0.8, "score_high": 0.95})
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
    heads, metric = [name for name in frame.columns if name in _SHOWN], metric_of(frame)
    if not any(f"{name}_low" in frame.columns for name in heads):
        return None
    title = {name: title_of(name, metric, head=True) for name in heads}
    same = [name for name in heads if name in _KEYS and len(frame) > 1 and len(set(frame[name])) == 1]
    shown = [name for name in _SHOWN if name in heads and name not in same and set(frame[name].notna()) != {False}]
    records = frame.head(_rows_shown(len(frame))).to_dict("records")
    rows = [[_cell(row, name, metric) for name in shown] for row in records]
    constant = [f"{title[name]}: {_plain(frame[name].iloc[0])}" for name in same if str(frame[name].iloc[0])]
    left = len(frame) - len(rows)
    notes = [", ".join(constant)] * bool(constant) + [f"{left:,} more rows"] * bool(left)
    return [title[name] for name in shown], rows, "; ".join(notes)


def table_as_html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table whose cells do not wrap."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    cells = ["".join(f"<td style='white-space:nowrap'>{escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table><thead><tr>{heads}</tr></thead><tbody><tr>{'</tr><tr>'.join(cells)}</tr></tbody></table>"


def _rows_shown(count: int) -> int:
    most = pd.get_option("display.max_rows")
    return count if most is None or count <= most else pd.get_option("display.min_rows") or most


def _cell(row: dict[Any, Any], name: str, metric: Metric) -> str:
    value, unit = row[name], COLUMN_TYPES[name].unit
    if name in _KEYS or name == "key" or isinstance(value, str):
        return _plain(value)
    if pd.isna(value):
        return ""
    if unit == "p":
        return f"{value:.2g}"
    if unit == "count":
        return f"{value:,.0f}"
    shown = metric if unit in ("metric", "points") else ACCURACY  # fractions are in %, too
    ends = [end for end in (row.get(f"{name}_low"), row.get(f"{name}_high")) if isinstance(end, float)]
    if len(ends) == 2:
        return f"{shown.show(value)} [{shown.show(ends[0])}, {shown.show(ends[1])}]"
    return f"{value / 1e3:,.1f}" if unit == "kilobytes" else shown.show(value)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

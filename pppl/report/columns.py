"""Columns of tables as reports show them: titles with units, and the formats of values."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ..tables.metric import ACCURACY, METRICS, Metric
from ..tables.schema import COLUMN_TYPES, column_type


@dataclass(frozen=True)
class Column:
    """A column of a table.

    - `name`: in the file; `title`: in the report, with its unit.
    - `kind`: a key of `FORMATS`, or `text`.
    - `bar`: whether the value is drawn with its interval.
    """

    name: str
    title: str
    kind: str
    bar: bool = False


def is_missing(value: Any) -> bool:
    """Return whether a cell is empty: an empty text or NaN.

    >>> is_missing(math.nan), is_missing(0.0)
    (True, False)
    """
    return value == "" or (isinstance(value, float) and math.isnan(value))


def _kilobytes(value: float) -> str:
    return f"{value / 1000:,.1f}" if value < 1e4 else f"{value / 1000:,.0f}"


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(value: float) -> str:
    """Return a fraction in %, with one decimal and no negative zero.

    >>> percent(0.1234), percent(-0.0001)
    ('12.3', '0.0')
    """
    return f"{value * 100:.1f}".replace("-0.0", "0.0") if abs(value) < 0.0005 else f"{value * 100:.1f}"


# Formats of numbers by the kind of a column. Text is shown as it is.
FORMATS: dict[str, Callable[[float], str]] = {
    "percent": percent,
    "plain": lambda value: METRICS["R2"].show(value),
    "budget": lambda value: f"{value * 100:g}" if value < 1 else "none",
    "count": lambda value: f"{value:,.0f}",
    "kilobytes": _kilobytes,
    "p": _p_value,
    "number": lambda value: f"{value:.4g}",
}
_UNITS = {"percent": " (%)", "budget": " (%)", "kilobytes": " (kB)"}
_BARS = {"score", "gain", "area", "importance"}


def numeric(name: str) -> bool | None:
    """Return whether a column holds numbers; None if its name is unknown.

    >>> numeric("score_low"), numeric("method"), numeric("ppp.learning_rate")
    (True, False, None)
    """
    declared = column_type(name)
    return None if declared is None else declared.kind == "number"


def title_of(name: str, metric: Metric, *, head: bool = False) -> str:
    """Return the title of a declared column with its unit.

    >>> title_of("gain", ACCURACY), title_of("score", METRICS["R2"])
    ('Gain (points)', 'R²')

    **Arguments:**

    - `head`: whether the short title is returned, that notebooks show.
    """
    column = COLUMN_TYPES[name]
    title = column.head if head else column.title
    shown = metric.title if head else metric.heading
    text = title.format(metric=shown, one=metric.step(1), three=metric.step(3))
    if head and column.unit in ("budget", "kilobytes"):
        return text
    return text + {"metric": metric.unit, "points": metric.points}.get(column.unit, _UNITS.get(column.unit, ""))


def column_of(name: str, names: Collection[str], *, numbers: bool, metric: Metric = ACCURACY) -> Column:
    """Return the description of a column.

    >>> column_of("gain", ["gain", "gain_low", "gain_high"], numbers=True)
    Column(name='gain', title='Gain (points)', kind='percent', bar=True)

    **Arguments:**

    - `names`: of all columns of its table.
    - `metric`: of the table's scores.
    - `numbers`: whether all its values are numbers, which decides the kind of an unknown column.
    """
    declared = COLUMN_TYPES.get(name)
    if declared is None or not declared.title:
        return Column(name, name if "." in name else name.replace("_", " "), "number" if numbers else "text")
    kind = declared.unit
    if kind in ("metric", "points"):
        kind = "percent" if metric.percent else "plain"
    return Column(name, title_of(name, metric), kind, bar=name in _BARS and f"{name}_low" in names)

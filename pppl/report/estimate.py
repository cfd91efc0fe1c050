"""Estimates in words: means with their 95 % intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..tables.intervals import mean_interval
from ..tables.metric import ACCURACY, Metric, metric_of
from ..tables.paired import people_of
from .table import TableRow

_JOIN = "\N{NO-BREAK SPACE}"  # prevents a line break
_FRACTIONS = ("importance",)  # in %, whatever the metric
_SERIES = ("method", "control", "budget")


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval, of a metric or a fraction; an unknown one is NaN.

    >>> Estimate(0.125).in_points.split()
    ['12.5', 'points']
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    metric: Metric = ACCURACY

    @classmethod
    def of(cls, row: TableRow, name: str) -> "Estimate":
        """Return the estimate in the columns `name`, `name_low` and `name_high` of a row."""
        values = (float(row.get(f"{name}{end}", math.nan)) for end in ("", "_low", "_high"))
        return cls(*values, metric=ACCURACY if name in _FRACTIONS else metric_of(row))

    def negative(self) -> "Estimate":
        """Return the estimate with the opposite sign."""
        return Estimate(-self.value, -self.high, -self.low, metric=self.metric)

    @property
    def as_value(self) -> str:
        """The estimate of a value: `99.6 % [99.4, 99.8]`, or `0.873 [0.851, 0.894]`."""
        return f"{self.metric.show(self.value)}{f'{_JOIN}%' * self.metric.percent}{self._interval}"

    @property
    def in_points(self) -> str:
        """The estimate of a difference: `0.3 points [0.0, 0.5]`, or `0.003 [0.000, 0.005]`."""
        return f"{self.metric.show(self.value)}{f'{_JOIN}points' * self.metric.percent}{self._interval}"

    def against(self, what: str) -> str:
        """Return the estimate as a distance to `what`: `0.3 points [0.0, 0.5] below the full network`."""
        side, distance = ("above", self) if self.value > 0 else ("below", self.negative())
        return f"{distance.in_points} {side} {what}"

    @property
    def _interval(self) -> str:
        return "" if math.isnan(self.low) else f" [{self.metric.show(self.low)},{_JOIN}{self.metric.show(self.high)}]"


def overlap(reached: int, others: int) -> str:
    """Return a clause on how many of the other intervals reach into that of the best; empty if none does.

    >>> overlap(2, 5)
    '; the intervals of 2 of the other 5 reach into its own'
    """
    if not reached:
        return ""
    what = "the interval of 1" if reached == 1 else f"the intervals of {reached}"
    return f"; {what} of the other {others} reach{'es' * (reached == 1)} into its own"


def subtract_from_full(row: TableRow, rows: Sequence[TableRow]) -> Estimate:
    """Return the score of a method less the full network's on the same persons.

    **Arguments:**

    - `row`: of `summary.csv`; gives the mean.
    - `rows`: of `table.csv.gz` for the same protocol; give the interval. Without any the interval is unknown.
    """
    own = [each | {"difference": each["score"] - each["score_full"]} for each in _of(row, rows).values()]
    return _with_interval(row["score"] - row["score_full"], own, metric_of(row))


def subtract(one: TableRow, other: TableRow, rows: Sequence[TableRow]) -> Estimate:
    """Return the score of `one` less that of `other`; arguments as of `subtract_from_full`.

    The interval is unknown if the two were not measured on the same persons and seeds.
    """
    first, second = _of(one, rows), _of(other, rows)
    both = [
        each | {"difference": each["score"] - second[person]["score"]}
        for person, each in first.items()
        if first.keys() == second.keys()  # otherwise the means are of different persons, and nothing is paired
    ]
    return _with_interval(one["score"] - other["score"], both, metric_of(one))


def _of(row: TableRow, rows: Sequence[TableRow]) -> dict[tuple[float, str], dict[str, Any]]:
    """Return the rows of a method at a budget, by seed and person."""
    wanted = [row[name] for name in _SERIES]
    return {(each["seed"], each["identity"]): dict(each) for each in rows if [each[n] for n in _SERIES] == wanted}


def _with_interval(mean: float, rows: Sequence[TableRow], metric: Metric) -> Estimate:
    if not rows:
        return Estimate(mean, metric=metric)
    differences, seeds = ([row[name] for row in rows] for name in ("difference", "seed"))
    people = people_of(pd.DataFrame({"identity": [row["identity"] for row in rows]}))
    low, high = map(float, mean_interval(differences, seeds, people, limits=metric.spread))
    return Estimate(mean, low, high, metric)

"""The metrics of tasks: their titles, their limits, and how their values are shown."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Metric:
    """A metric of predictions, as tables, figures and reports show it.

    - `name`: the name in the column `metric` of tables.
    - `title`: the name that people read.
    - `percent`: whether values are shown in % and differences in points, or both as plain numbers with 3 decimals.
    - `limits`: the least and the largest possible value.
    - `higher_is_better`: whether larger values are better.

    >>> METRICS["accuracy"].show(0.9), METRICS["R2"].show(0.9)
    ('90.0', '0.900')
    """

    name: str
    title: str
    percent: bool = True
    limits: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the largest possible difference of two values."""
        low, high = self.limits
        return low - high, high - low

    @property
    def scale(self) -> float:
        """The factor that converts values into what is shown."""
        return 100.0 if self.percent else 1.0

    @property
    def sign(self) -> int:
        """The direction of improvement: 1 if higher values are better, else -1."""
        return 1 if self.higher_is_better else -1

    @property
    def heading(self) -> str:
        """The title with a capital letter."""
        return self.title[:1].upper() + self.title[1:]

    @property
    def unit(self) -> str:
        """The unit of values, to be appended to a title: ` (%)` or empty."""
        return " (%)" if self.percent else ""

    @property
    def points(self) -> str:
        """The unit of differences, to be appended to a title."""
        return " (points)" if self.percent else f" ({self.title})"

    def step(self, points: int) -> str:
        """Return a distance of `points` hundredths in words.

        >>> METRICS["accuracy"].step(1), METRICS["R2"].step(3)
        ('1 point', '0.03')
        """
        return f"{points} point{'s' * (points > 1)}" if self.percent else f"{points / 100:g}"

    def show(self, value: float, decimals: int = 1) -> str:
        """Return a value or a difference as text without its unit. Zero has no sign."""
        text = f"{value * self.scale:.{decimals if self.percent else 3}f}"
        return text.removeprefix("-") if not text.strip("-0.") else text

    def to_dict(self) -> dict[str, Any]:
        """Return the metric as plain values, in the form of `run.json`. Infinite limits become null."""
        limits = [each if math.isfinite(each) else None for each in self.limits]
        return {
            "name": self.name,
            "title": self.title,
            "percent": self.percent,
            "limits": limits,
            "higher_is_better": self.higher_is_better,
        }


METRICS: dict[str, Metric] = {
    each.name: each
    for each in (
        Metric("accuracy", "accuracy"),
        Metric("R2", "R\N{SUPERSCRIPT TWO}", percent=False, limits=(-math.inf, 1.0)),
        Metric("MAE", "mean absolute error", percent=False, limits=(0.0, math.inf), higher_is_better=False),
        Metric("matthews", "Matthews correlation", limits=(-1.0, 1.0)),
        Metric("accuracy and F1", "mean of accuracy and F1"),
        Metric("Pearson and Spearman", "mean of Pearson's and Spearman's correlation", limits=(-1.0, 1.0)),
    )
}
ACCURACY = METRICS["accuracy"]
# Scores of several metrics side by side, as text tasks have them.
SCORE = Metric("", "score", limits=(-1.0, 1.0))


def metric_of(source: "str | Mapping[Any, Any] | pd.DataFrame") -> Metric:
    """Return the metric of a name, of a row, or of a table whose rows have one metric.

    Tables and rows without the column `metric` are of earlier versions, which had accuracy only. Tables of text tasks,
    which have a column `encoder`, have `SCORE`. An unknown metric is shown as a plain number.

    >>> metric_of("R2").title, metric_of({"method": "ppp"}).title
    ('R²', 'accuracy')
    """
    if isinstance(source, str):
        return METRICS.get(source) or Metric(source, source, percent=False, limits=(-math.inf, math.inf))
    if "encoder" in source or ("task" in source and "dataset" not in source):
        return SCORE
    if isinstance(source, pd.DataFrame):
        column = source["metric"].tolist() if "metric" in source.columns else []
        names = {str(name) for name in column if name and name == name}  # NaN is unequal to itself
        return SCORE if len(names) > 1 else metric_of(names.pop()) if names else ACCURACY
    return metric_of(str(source.get("metric") or ACCURACY.name))


def declare_metric(run: Mapping[str, Any]) -> None:
    """Register the metric in a `run.json` if it is unknown, as that of a plugin may be."""
    tree = run.get("metric")
    if not isinstance(tree, Mapping) or not isinstance(tree.get("name"), str) or tree["name"] in METRICS:
        return
    limits = tree.get("limits")
    low, high = limits if isinstance(limits, list) and len(limits) == 2 else (None, None)
    METRICS[tree["name"]] = Metric(
        tree["name"],
        str(tree.get("title", tree["name"])),
        percent=bool(tree.get("percent", False)),
        limits=(-math.inf if low is None else float(low), math.inf if high is None else float(high)),
        higher_is_better=bool(tree.get("higher_is_better", True)),
    )

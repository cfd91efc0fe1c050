"""Tables beside the main one, folded."""

from ..tables.metric import Metric
from ..tables.rivals import BASELINES
from .columns import Column
from .folder import FolderTables
from .grid import grid
from .html import Html, element, join
from .table import Table

_TITLES = {
    "answers.csv": (
        "Questions",
        "{Metric} of a method less that of the one that it is held against, on the same persons at the same budget.",
    ),
    "gains.csv": (
        "Personal gain",
        "{Metric} with the own samples less that with everybody's (population), another person's (other), another's of "
        "the same classes (twin) or the own samples of other classes (swap), paired over persons and seeds, and how "
        "much more the reference gains on the same persons.",
    ),
    "curves.csv": (
        "Curves over budgets",
        "Of methods that have all budgets: the area under {metric} against MACs, and the least MACs within {one} and "
        "{three} of the full network; 100 where no budget suffices.",
    ),
    "effort.csv": (
        "Effort",
        "What each method was given: samples of the person that it looked at, how many of their labels, training steps "
        "on the device, samples that training for all went through beyond the full network's, and settings tried on "
        "validation persons.",
    ),
    "tuned.csv": ("Settings tried", "{Metric} on validation persons, and what was chosen of each method's settings."),
    "stream.csv": (
        "Storage as tasks come",
        "Deltas on one base: scores as they come and at the end, and what is stored.",
    ),
    BASELINES: (
        "What the best trial has to beat",
        "{Metric} of the best trial, its controls and free baselines on the same validation persons, and the best "
        "trial less each of them.",
    ),
    "importances.csv": ("Importance of settings", "What share of the differences in {metric} a setting explains."),
}


def other_tables(results: FolderTables) -> list[Html]:
    """Return a `details` element for each table."""
    return [
        element(
            "details",
            element(
                "summary", f"{_TITLES[name][0]} ", element("span", f"{name}, {len(table.rows):,} rows", class_="quiet")
            ),
            join((element("p", _text(name, results.metric)), grid(_TITLES[name][0], table, _columns(table)))),
        )
        for name, table in results.tables.items()
    ]


def _text(name: str, metric: Metric) -> str:
    steps = ("1", "3 points") if metric.percent else ("0.01", "0.03")
    return _TITLES[name][1].format(Metric=metric.heading, metric=metric.title, one=steps[0], three=steps[1])


def _columns(table: Table) -> list[Column]:
    """Return the columns of a table, without constant ones that the top of the page states."""
    return [
        column for column in table.columns() if column.name not in _IN_HEADER or len(table.distinct(column.name)) > 1
    ]


_IN_HEADER = {
    "dataset",
    "backbone",
    "encoder",
    "seen",
    "metric",
}  # stated at the top of the page if constant

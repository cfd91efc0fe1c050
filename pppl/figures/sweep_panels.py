"""The figures of a sweep."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ..tables.schema import settings_of
from .layout import make_room, write_legend
from .sweeps import completed_trials, contour, history, importance_bars, parallel, pareto
from .venues import active_venue


def sweep_figures(trials: pd.DataFrame, shares: pd.DataFrame) -> dict[str, Figure]:
    """Return the figures that the tables suffice for, by name; none if no trial is finished.

    ```python
    sweep_figures(pd.read_csv("trials.csv"), pd.read_csv("importances.csv"))["history"].savefig("history.pdf")
    ```

    **Arguments:**

    - `trials`, `shares`: `trials.csv` and `importances.csv`; the latter may be empty.
    """
    done = completed_trials(trials)
    if not len(done):
        return {}
    figures = {"history": _figure(1.95)}
    history(trials, figures["history"].subplots())
    if "pareto" in trials.columns:
        figures["pareto"] = _figure(2.0)
        pareto(trials, figures["pareto"].subplots())
    if len(shares):
        figures["importances"] = _figure(0.7 + 0.22 * len(shares))
        importance_bars(shares, figures["importances"].subplots())
    keys = shares["key"].tolist() if len(shares) else settings_of(trials.columns)
    first = [key for key in keys if key in trials.columns][:2]
    if len(first) == 2 and len(done.dropna(subset=first)) >= 4:
        figures["contour"] = _figure(2.5)
        contour(trials, first, figures["contour"].subplots())
    if len(settings_of(trials.columns)) > 1:
        figures["parallel"] = Figure(figsize=(active_venue().text, 2.2), layout="constrained")
        parallel(trials, figures["parallel"].subplots())
    for name in figures.keys() & {"history", "pareto", "parallel"}:
        handles, labels = _legend_of(figures[name])
        make_room(figures[name], write_legend(figures[name], handles, labels, most=4))
    return figures


def _figure(height: float) -> Figure:
    """Return an empty figure as wide as a column."""
    return Figure(figsize=(active_venue().column, height), layout="constrained")


def _legend_of(figure: Figure) -> tuple[list[Any], list[Any]]:
    return figure.axes[0].get_legend_handles_labels()

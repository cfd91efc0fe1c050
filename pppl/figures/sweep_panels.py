"""The figures of a sweep."""

import pandas as pd
from matplotlib.figure import Figure

from .style import TEXT_WIDTH
from .sweeps import complete, contour, history, importance_bars, parallel, pareto, settings_of

_HALF = TEXT_WIDTH / 2


def sweep_figures(trials: pd.DataFrame, shares: pd.DataFrame) -> dict[str, Figure]:
    """Figures by name, those that the tables suffice for.

    **Arguments:**

    - `trials`, `shares`: `trials.csv` and `importances.csv`; the latter may be empty.
    """
    done = complete(trials)
    if not len(done):
        return {}
    figures = {"history": Figure(figsize=(_HALF, 2.3), layout="constrained")}
    history(trials, figures["history"].subplots())
    if "pareto" in trials.columns:
        figures["pareto"] = Figure(figsize=(_HALF, 2.3), layout="constrained")
        pareto(trials, figures["pareto"].subplots())
    if len(shares):
        figures["importances"] = Figure(figsize=(_HALF, 0.7 + 0.22 * len(shares)), layout="constrained")
        importance_bars(shares, figures["importances"].subplots())
    first = list(shares["key"] if len(shares) else settings_of(trials))[:2]
    if len(first) == 2 and len(done.dropna(subset=first)) >= 4:
        figures["contour"] = Figure(figsize=(_HALF, 2.5), layout="constrained")
        contour(trials, first, figures["contour"].subplots())
    if len(settings_of(trials)) > 1:
        figures["parallel"] = Figure(figsize=(TEXT_WIDTH, 2.4), layout="constrained")
        parallel(trials, figures["parallel"].subplots())
    for name in figures.keys() & {"history", "pareto", "parallel"}:
        figures[name].legend(loc="outside lower center", ncols=2 if name == "history" else 3, frameon=False)
    return figures

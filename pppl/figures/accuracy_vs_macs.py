"""Score of each method against its MACs."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator, NullLocator

from ..tables.metric import metric_of
from ..tables.schema import with_names
from .layout import log_ticks, percents, scores
from .looks import BUILT_IN, Looks, draw_series

# Series in tables only: controls of ablations, and diff pruning without groups.
_LEFT_OUT = {("gated", "population"), ("gated", "other"), ("gated", "random"), ("diff_elementwise", "")}
_RATE = re.compile(r"@\d")  # a further rate of diff pruning, in tables only, too


# Figures with room for few budgets show those nearest to these.
_SHOWN_BUDGETS = (0.1, 0.35)


def shown_budgets(frame: pd.DataFrame) -> list[float]:
    """Return the one or two budgets of figures that have no room for all; `[1.0]` if nothing is pruned.

    Only the budgets with the most methods qualify. Among them, those nearest to 0.1 and 0.35 are chosen. Tables with
    room for one budget show the first.

    >>> shown_budgets(pd.DataFrame({"budget": [0.1, 0.25, 0.5], "method": "l1"}))
    [0.1, 0.25]
    """
    methods: dict[float, set[str]] = {}
    for budget, method in zip(frame["budget"].tolist(), frame["method"], strict=True):
        if budget < 1:
            methods.setdefault(budget, set()).add(method)
    count = max(map(len, methods.values()), default=0)
    most = [budget for budget, having in methods.items() if len(having) == count]
    near = [min(most, key=lambda each: abs(each - wanted), default=1.0) for wanted in _SHOWN_BUDGETS]
    return [*dict.fromkeys(near)]


def shown_series(frame: pd.DataFrame, looks: Looks = BUILT_IN) -> list[tuple[str, str]]:
    """Return the methods and controls that figures show, in the order of legends.

    >>> shown_series(pd.DataFrame({"method": ["l1", "ppp", "full"], "control": ["", "own", ""]}))
    [('full', ''), ('ppp', 'own'), ('l1', '')]
    """
    pairs = {(method, control) for method, control in zip(frame["method"], frame["control"], strict=True)}
    return sorted((pair for pair in pairs - _LEFT_OUT if _is_shown(pair, looks)), key=lambda pair: looks.rank(*pair))


def _is_shown(pair: tuple[str, str], looks: Looks) -> bool:
    method, control = pair
    of_variant = "@" in method and control not in ("", "own") and pair not in looks.known
    return not of_variant and not _RATE.search(method)


def lower_limit(rows: pd.DataFrame) -> float:
    """Return a lower end for an axis of scores: a multiple of 0.2, at most 0.8."""
    ends = rows["score_low"].to_numpy(float)
    ends = ends[np.isfinite(ends)]
    return min(0.8, float(np.floor(5 * ends.min() + 1e-9)) / 5) if len(ends) else 0.0


def accuracy_vs_macs(
    summary: pd.DataFrame,
    ax: Axes,
    series: Sequence[tuple[str, str]] | None = None,
    *,
    bottom: float = 0.0,
    looks: Looks = BUILT_IN,
) -> Axes:
    """Draw the score of each method over its MACs, with 95 % intervals.

    ```python
    accuracy_vs_macs(summary.query("persons == 'person'"), plt.subplots()[1])
    ```

    **Arguments:**

    - `summary`: rows of `summary.csv` for one protocol; the columns `method`, `control`, `budget`, `macs_fraction`,
      `score`, `score_low` and `score_high` are read.
    - `series`: methods and controls, in the order of the legend; by default those of `shown_series`.
    - `bottom`: the lower end of the score axis.
    - `looks`: of the experiment; by default the built-in ones.
    """
    summary = with_names(summary)
    styles = [looks.look(*pair) for pair in zip(summary["method"], summary["control"], strict=True)]
    points = np.array([not each.dash for each in styles])  # methods with MACs of their own but no budget
    left, right = macs_range(summary.loc[(summary["budget"] < 1) | points])
    for method, control in shown_series(summary, looks) if series is None else series:
        style = looks.look(method, control)
        rows = summary.query("method == @method and control == @control").sort_values("macs_fraction")
        if rows["macs_fraction"].to_numpy(float).min() > right:
            # A method that does not prune is a reference level at every budget.
            row = rows.iloc[0]
            ax.axhspan(row["score_low"], row["score_high"], color=style.colour, alpha=0.12, lw=0)
            ax.axhline(row["score"], color=style.colour, ls=style.dash, lw=1, label=style.label)
            continue
        draw_series(rows, rows["macs_fraction"].to_numpy(float), style, ax)
    macs_axis(left, right, ax)
    score_axis(summary, bottom, ax)
    if metric_of(summary).percent:
        ax.yaxis.set_major_locator(MultipleLocator(0.2 if bottom < 0.6 else 0.05 if bottom > 0.7 else 0.1))
    ax.grid(axis="y", lw=0.4, alpha=0.5)
    return ax


def score_axis(rows: pd.DataFrame, bottom: float, ax: Axes) -> None:
    """Format the vertical axis, from `bottom` to the most that the metric can be, or else to the highest interval."""
    metric = metric_of(rows)
    scores(ax.yaxis, metric)
    top = metric.limits[1]
    if not np.isfinite(top):
        ends = rows["score_high"].to_numpy(float)
        top = float(np.max(ends[np.isfinite(ends)], initial=bottom + 1e-3))
    ax.set_ylim(bottom, top + 0.04 * (top - bottom))


def macs_range(pruned: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of a MACs axis that has room for all pruned rows."""
    fractions = pruned["macs_fraction"].to_numpy(float)
    return (float(fractions.min()) / 1.15, float(fractions.max()) * 1.15) if len(fractions) else (0.05, 1.0)


def macs_axis(left: float, right: float, ax: Axes) -> None:
    """Format the horizontal axis as fractions of the full MACs, on a logarithmic scale."""
    ax.set_xscale("log")
    ax.set_xlim(left, right)
    ax.set_xticks(log_ticks(left, right, (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)))
    ax.xaxis.set_minor_locator(NullLocator())
    percents(ax.xaxis)
    ax.set_xlabel("fraction of the full MACs")

"""Score of each method at one budget, from top to bottom: with a single budget there is no curve to draw."""

from collections.abc import Sequence
from itertools import chain

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..tables.metric import metric_of
from ..tables.schema import with_names
from .accuracy_vs_macs import shown_series
from .layout import inches, panel_grid, percents, write_titles
from .looks import BUILT_IN, Looks
from .protocols import by_protocol, count_protocols

_LABELS = 7.0  # points
_LINE = 0.17  # inches of height for a method


def has_one_budget(summary: pd.DataFrame) -> bool:
    """Return whether all methods that prune have the same budget.

    >>> has_one_budget(pd.DataFrame({"budget": [1.0, 0.1, 0.1]}))
    True
    """
    return len({*summary["budget"]} - {1.0}) == 1


def score_list(
    summary: pd.DataFrame, ax: Axes, series: Sequence[tuple[str, str]] | None = None, *, looks: Looks = BUILT_IN
) -> Axes:
    """Draw the score of each method as a mark on a line of its own, with its 95 % interval.

    Methods that do not prune have open marks. A dotted line is the full network's score.

    ```python
    score_list(summary.query("not seen and budget in (0.1, 1)"), plt.subplots()[1])
    ```

    **Arguments:**

    - `summary`: rows of `summary.csv` for one protocol and budget, with those of methods that do not prune.
    - `series`: methods and controls, from top to bottom; by default those of `shown_series`.
    - `looks`: of the experiment; by default the built-in ones.
    """
    summary = with_names(summary)
    series = shown_series(summary, looks) if series is None else series
    by_series = {(str(row["method"]), str(row["control"])): row for row in summary.to_dict("records")}
    for place, key in enumerate(series):
        if (row := by_series.get(key)) is None:
            continue
        ends = [[max(0.0, row["score"] - row["score_low"])], [max(0.0, row["score_high"] - row["score"])]]
        look = looks.look(*key)
        face = "white" if row["budget"] == 1 else look.colour
        ax.errorbar(row["score"], place, xerr=ends, color=look.colour, marker="o", mfc=face, ms=3.5, capsize=1.5)
        if key == ("full", ""):
            ax.axvline(row["score"], color="black", ls=":", lw=0.8, zorder=0)
    ax.set_yticks(range(len(series)), [looks.look(*key).label for key in series], fontsize=_LABELS)
    ax.set_ylim(len(series) - 0.5, -0.5)
    if metric_of(summary).percent:
        percents(ax.xaxis)
    ax.grid(axis="both", lw=0.4, alpha=0.4)
    return ax


def list_figure(summary: pd.DataFrame, *, looks: Looks = BUILT_IN) -> Figure:
    """Draw the scores of all methods at the one budget of a comparison, a panel for each protocol.

    ```python
    list_figure(pd.read_csv("results/leads_keywords/summary.csv")).savefig("scores.pdf")
    ```
    """
    summary = with_names(summary)
    panels, series = by_protocol(summary), shown_series(summary, looks)
    figure, axes = panel_grid(len(panels), 0.6 + _LINE * len(series))
    for ax, (_, rows) in zip(chain(*axes), panels, strict=True):
        score_list(rows, ax, series, looks=looks)
        ax.set_xlabel(f"{metric_of(summary).title} on queries")
    beside = max(inches(looks.look(*key).label, _LABELS) for key in series) + 0.1
    write_titles(axes, [(name, f"({count_protocols(rows)})") for name, rows in panels], beside=beside)
    return figure

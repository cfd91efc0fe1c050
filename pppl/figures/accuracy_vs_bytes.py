"""Score against the size of a person's file, for diff pruning at several rates."""

from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from ..tables.metric import metric_of
from ..tables.schema import with_names
from .layout import log_ticks, scores
from .looks import BUILT_IN, Looks, draw_series

# Marker and dash of each method. Other figures draw these methods as levels, with another dash and no marker.
_METHODS = {"diff": ("o", "-"), "diff_elementwise": ("^", "--")}
_LEVELS = ("full", "finetune")


def has_rates(summary: pd.DataFrame) -> bool:
    """Return whether a summary has diff pruning at a rate other than the default (`diff@...`)."""
    return any(method.startswith("diff@") for method in summary["method"])


def accuracy_vs_bytes(summary: pd.DataFrame, ax: Axes, *, looks: Looks = BUILT_IN) -> Axes:
    """Draw the score of diff pruning over the size of a delta file, with 95 % intervals.

    ```python
    accuracy_vs_bytes(pd.read_csv("results/mine/summary.csv"), plt.subplots()[1])
    ```

    **Arguments:**

    - `summary`: rows of `summary.csv` for one protocol; the columns `method`, `artifact_bytes`, `score`,
      `score_low` and `score_high` are read.
    - `looks`: of the experiment; by default the built-in ones.
    """
    summary = with_names(summary)
    family = summary["method"].str.split("@").str[0]
    for method, (marker, dash) in _METHODS.items():
        rows = summary.loc[family == method].sort_values(by="artifact_bytes")
        if not len(rows):
            continue
        kilobytes = rows["artifact_bytes"].to_numpy(float) / 1e3
        draw_series(rows, kilobytes, replace(looks.look(method, ""), marker=marker, dash=dash), ax)
    for method in _LEVELS:
        for level in summary.loc[summary["method"] == method, "score"]:
            style = looks.look(method, "")
            ax.axhline(level, color=style.colour, ls=style.dash, lw=1, label=style.label)
    ax.set_xscale("log")
    ax.set_xticks(log_ticks(*ax.get_xlim(), (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    scores(ax.yaxis, metric_of(summary))
    ax.set_xlabel("a person's file (kB)")
    ax.grid(axis="y", lw=0.4, alpha=0.5)
    return ax

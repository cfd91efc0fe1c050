"""Accuracy against what a person's own file takes: differences to one network at several rates."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from .style import look

_METHODS = ("diff", "diff_elementwise")
_LEVELS = ("full", "finetune")


def has_rates(summary: pd.DataFrame) -> bool:
    """Whether diff pruning was run at several rates."""
    return any(method.startswith("diff@") for method in summary["method"])


def accuracy_vs_bytes(summary: pd.DataFrame, ax: Axes) -> Axes:
    """Draws the accuracy of diff pruning over the size of a delta file, with 95 % intervals.

    **Arguments:**

    - `summary`: rows of `summary.csv` for one protocol; the columns `method`, `artifact_bytes`, `accuracy`,
      `accuracy_low` and `accuracy_high` are read.
    """
    family = summary["method"].str.split("@").str[0]
    for method in _METHODS:
        style, rows = look(method, ""), summary.loc[family == method].sort_values(by="artifact_bytes")
        spread = [rows["accuracy"] - rows["accuracy_low"], rows["accuracy_high"] - rows["accuracy"]]
        ax.errorbar(
            rows["artifact_bytes"] / 1e3,
            rows["accuracy"],
            yerr=[side.clip(lower=0) for side in spread],
            color=style.colour,
            marker="o" if method == "diff" else "^",
            ls="-" if method == "diff" else "--",
            capsize=1.5,
            elinewidth=0.8,
            label=style.label,
        )
    for method in _LEVELS:
        for level in summary.loc[summary["method"] == method, "accuracy"]:
            style = look(method, "")
            ax.axhline(level, color=style.colour, ls=style.dash, lw=1, label=style.label)
    ax.set_xscale("log")
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if ax.get_xlim()[0] <= t <= ax.get_xlim()[1]]
    ax.set_xticks(ticks)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    ax.set_xlabel("a person's file (kB)")
    ax.grid(axis="y", lw=0.4, alpha=0.5)
    return ax

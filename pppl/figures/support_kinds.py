"""Score of each method with several kinds of support sets: more or fewer samples, strangers among them, and others."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..tables.metric import metric_of
from ..tables.schema import with_names
from .accuracy_vs_macs import lower_limit, score_axis, shown_series
from .layout import ROW_HEIGHT, label, make_room, panel_grid, write_titles
from .looks import BUILT_IN, Looks, draw_series
from .protocols import by_protocol, count_protocols, kind_of

_WIDE = 0.6  # of the distance between two kinds, which the marks of all series share
_HIGHER = 1.1  # inches for more room: a panel for each half of the people is all there is
_MOST = 8  # series in a panel; more are split by whether they take steps on the support set
_STILL, _STEPS = "no step on the support set", "steps on the support set"


def has_kinds(frame: pd.DataFrame) -> bool:
    """Return whether the persons of a table have kinds of support sets.

    >>> has_kinds(pd.DataFrame({"persons": ["person, 1 shot", "person, 5 shots"]}))
    True
    """
    return any(kind_of(str(each))[1] for each in frame["persons"])


def support_kinds(
    summary: pd.DataFrame, ax: Axes, series: Sequence[tuple[str, str]] | None = None, *, looks: Looks = BUILT_IN
) -> Axes:
    """Draw the score of each method with each kind of support sets, with 95 % intervals.

    ```python
    support_kinds(summary.query("not seen"), plt.subplots()[1])
    ```

    **Arguments:**

    - `summary`: rows of `summary.csv` for seen or unseen people and one budget, with those of methods that do not
      prune.
    - `series`: methods and controls, in the order of the legend; by default those of `shown_series`.
    - `looks`: of the experiment; by default the built-in ones.
    """
    summary = with_names(summary)
    kinds = [*dict.fromkeys(kind_of(each)[1] for each in summary["persons"])]
    series = shown_series(summary, looks) if series is None else series
    for (method, control), shift in zip(series, np.linspace(-_WIDE / 2, _WIDE / 2, len(series)), strict=True):
        rows = summary.loc[(summary["method"] == method) & (summary["control"] == control)]
        places = np.array([kinds.index(kind_of(each)[1]) + shift for each in rows["persons"]])
        draw_series(rows, places, looks.look(method, control), ax, joined=False)  # kinds have no order
    ax.set_xticks(range(len(kinds)), kinds, rotation=30, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.5, len(kinds) - 0.5)
    for place in range(1, len(kinds)):
        ax.axvline(place - 0.5, color="0.85", lw=0.6, zorder=0)
    score_axis(summary, lower_limit(summary), ax)
    ax.grid(axis="y", lw=0.4, alpha=0.5)
    return ax


def supports_figure(summary: pd.DataFrame, *, looks: Looks = BUILT_IN) -> Figure:
    """Draw scores with each kind of support sets, a panel for each protocol and budget.

    Many series have two rows of panels: what takes steps on the support set stands below.

    ```python
    supports_figure(pd.read_csv("results/support/summary.csv")).savefig("supports.pdf")
    ```
    """
    summary = with_names(summary)
    least = summary.groupby(["method", "control"])["budget"].transform("min")
    without = summary.assign(persons=[kind_of(each)[0] for each in summary["persons"]])
    panels = [
        (name, budget, summary.loc[rows.index])
        for budget in sorted({*summary["budget"]} - {1.0}) or [1.0]
        for name, rows in by_protocol(without.loc[(summary["budget"] == budget) | (least == 1)])
    ]
    groups = _groups(summary, looks)
    shown = [(*panel, title, series) for title, series in groups.items() for panel in panels]
    figure, axes = panel_grid(len(shown), ROW_HEIGHT + _HIGHER)
    for ax, (_, _, rows, _, series) in zip(chain(*axes), shown, strict=True):
        support_kinds(rows, ax, series, looks=looks)
    one = len({budget for _, budget, _ in panels}) == 1
    titles = []
    for name, budget, rows, title, _ in shown:
        first = name if one else f"{name}, budget {budget * 100:g} %"
        titles.append((f"{first},", title) if title else (first, f"({count_protocols(rows)})"))
    write_titles(axes, titles)
    make_room(figure, label(figure, axes, f"{metric_of(summary).title} on queries", most=3))
    return figure


def _groups(summary: pd.DataFrame, looks: Looks) -> dict[str, list[tuple[str, str]]]:
    """Return the series of each row of panels by title, which is empty if they fit one."""
    series = shown_series(summary, looks)
    if len(series) <= _MOST:
        return {"": series}
    steps = {(row["method"], row["control"]) for row in summary.to_dict("records") if row["retrain_samples"] > 0}
    parts = {_STILL: [each for each in series if each not in steps], _STEPS: [each for each in series if each in steps]}
    return {title: part for title, part in parts.items() if part}

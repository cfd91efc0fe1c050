"""Overview of several data sets side by side: error against MACs for a few methods."""

from collections.abc import Mapping, Sequence, Set
from itertools import chain

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from ..tables.schema import with_names
from .accuracy_vs_macs import macs_axis, macs_range
from .layout import ROW_HEIGHT, label, make_room, panel_grid, percents, write_titles
from .looks import BUILT_IN, Looks
from .protocols import count_protocols

# The full network without and with its classes corrected, which is free; the simplest small network; PPP's; and one
# fine-tuned on labels of the person.
SERIES = (
    ("full", ""),
    ("full+classes", ""),
    ("l1_local+retrain+classes", ""),
    ("ppp+classes", "own"),
    ("l1_local+retrain+finetune", ""),
)
# Smaller errors are drawn at this one: a few hundred queries cannot tell them apart.
_LEAST = 1e-3


def overview_figure(
    panels: Mapping[str, pd.DataFrame], series: Sequence[tuple[str, str]] = SERIES, *, looks: Looks = BUILT_IN
) -> Figure:
    """Draw error against MACs, a panel for each kind of persons.

    ```python
    overview_figure({"keywords": pd.read_csv("results/keywords/summary.csv").query("persons == 'person'")})
    ```

    **Arguments:**

    - `panels`: the rows of a `summary.csv` for one protocol, by title.
    - `series`: methods and controls, in the order of the legend. A panel shows those that it has. If it lacks a method
      with `+classes`, it shows the method without.
    - `looks`: of the experiments; by default the built-in ones.
    """
    panels = {title: with_names(rows) for title, rows in panels.items()}
    figure, axes = panel_grid(len(panels), ROW_HEIGHT)
    for ax, rows in zip(chain(*axes), panels.values(), strict=True):
        there = set(zip(rows["method"], rows["control"], strict=True))
        error_vs_macs(rows, _shown(series, there), ax, looks=looks)
    write_titles(axes, [(title, f"({count_protocols(rows)})") for title, rows in panels.items()])
    make_room(figure, label(figure, axes, "error on queries", most=3))
    return figure


def _shown(series: Sequence[tuple[str, str]], there: Set[tuple[str, str]]) -> list[tuple[str, str]]:
    named = ((key, (key[0].removesuffix("+classes"), key[1])) for key in series)
    return [*dict.fromkeys(key if key in there else alone for key, alone in named if key in there or alone in there)]


def error_vs_macs(rows: pd.DataFrame, series: Sequence[tuple[str, str]], ax: Axes, *, looks: Looks = BUILT_IN) -> Axes:
    """Draw the error, with 95 % intervals, over the fraction of the full MACs; both axes are logarithmic.

    **Arguments:**

    - `rows`: of `summary.csv` for one protocol.
    - `series`: methods and controls, in the order of the legend.
    - `looks`: of the experiment; by default the built-in ones.
    """
    for method, control in series:
        style = looks.look(method, control)
        of = rows.query("method == @method and control == @control").sort_values("macs_fraction")
        error, low, high = (
            1 - of[f"score{end}"].to_numpy(float) for end in ("", "_high", "_low")
        )  # what is lacking to 1
        error, low, high = (np.clip(each, _LEAST, 1) for each in (error, low, high))
        if bool((of["budget"].to_numpy(float) == 1).all()):
            ax.axhspan(low[0], high[0], color=style.colour, alpha=0.1, lw=0)
            ax.axhline(error[0], color=style.colour, ls=style.dash, lw=1, label=style.label)
            continue
        ax.errorbar(
            of["macs_fraction"], error, yerr=[np.maximum(error - low, 0), np.maximum(high - error, 0)],
            color=style.colour, marker=style.marker, ls=style.dash, **style.face, capsize=1.5, elinewidth=0.8,
            label=style.label,
        )  # fmt: skip
    macs_axis(*macs_range(rows.loc[rows["budget"] < 1]), ax)
    ax.set_yscale("log")
    ax.set_ylim(0.9 * _LEAST, 1.0)
    ax.yaxis.set_major_locator(FixedLocator([0.001, 0.01, 0.1, 1.0]))
    percents(ax.yaxis)
    ax.grid(axis="y", lw=0.4, alpha=0.5)
    return ax

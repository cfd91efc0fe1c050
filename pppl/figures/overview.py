"""Several data sets side by side: accuracy against cost of a few ways, for whoever looks at one figure only."""

from collections.abc import Mapping, Sequence
from itertools import chain

import pandas as pd
from matplotlib.figure import Figure

from ..schema import with_names
from .accuracy_vs_macs import accuracy_vs_macs
from .layout import ROW_HEIGHT, grid, label, make_room, write_titles
from .protocols import counted

# Full network, PPP in both forms and its control, and the best known of each other family.
SERIES = (
    ("full", ""),
    ("ppp@persons", "own"),
    ("ppp@nothing", "own"),
    ("ppp", "own"),
    ("ppp+diff", ""),
    ("l1_local", ""),
    ("l1_local+retrain", ""),
    ("l1_local+finetune", ""),
)


def overview_figure(panels: Mapping[str, pd.DataFrame], series: Sequence[tuple[str, str]] = SERIES) -> Figure:
    """A panel for each kind of persons.

    **Arguments:**

    - `panels`: by title, the rows of a `summary.csv` for one protocol.
    - `series`: methods and controls, in the order of the legend; a panel shows those that it has.
    """
    panels = {title: with_names(rows) for title, rows in panels.items()}
    figure, axes = grid(len(panels), ROW_HEIGHT)
    for ax, rows in zip(chain(*axes), panels.values(), strict=True):
        there = set(zip(rows["method"], rows["control"], strict=True))
        accuracy_vs_macs(rows, ax, [key for key in series if key in there])
    write_titles(axes, [(title, f"({counted(rows)})") for title, rows in panels.items()])
    make_room(figure, label(figure, axes, "accuracy on queries", most=4))
    return figure

"""Which channels are open for whom."""

from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties

from ..system.printable import printable
from ..tables.schema import with_names


def channel_order(frame: pd.DataFrame) -> pd.DataFrame:
    """`layer` and `channel`, sorted inside a layer by how often a channel is open for everybody in `frame`."""
    means: Any = frame.groupby(["layer", "channel"], as_index=False)["probability"].mean()
    return means.sort_values(["layer", "probability"], ascending=[True, False], kind="stable")


def gates(frame: pd.DataFrame, order: pd.DataFrame, ax: Axes, *, colour_bar: bool = True) -> Axes:
    """Draws a heat map of open probabilities, channels by persons.

    **Arguments:**

    - `frame`: rows of `gates.csv` for one protocol: `identity`, `layer`, `channel`, `probability`.
    - `order`: of channels, from top to bottom, as `channel_order` gives it; the same in panels side by side.
    """
    frame = with_names(frame)
    once = frame.drop_duplicates(["layer", "channel", "identity"])
    wide = once.pivot(index=["layer", "channel"], columns="identity", values="probability")
    wide = wide[sorted(wide.columns, key=_in_order)]
    names = [printable(str(name)) for name in wide.columns]
    named = max(map(len, names)) <= _LONGEST_NAME and _fit_side_by_side(len(names), ax)
    wide = wide.reindex(list(zip(order["layer"], order["channel"], strict=True)))
    sns.heatmap(
        wide.to_numpy(),
        ax=ax,
        vmin=0,
        vmax=1,
        cmap="cividis",
        cbar=colour_bar,
        cbar_kws={"label": "probability that the channel is open"},
        xticklabels=names if named else False,
        yticklabels=False,
        rasterized=True,
    )
    edges = order.groupby("layer").size().cumsum()
    for edge in edges.iloc[:-1]:
        ax.axhline(edge, color="white", lw=1)
    sizes = order.groupby("layer").size()
    every = -(-len(sizes) // _LAYER_LABELS)
    prefix = "layer " if every == 1 else ""
    shown = sizes.index[::every]
    ax.set_yticks((edges - sizes / 2)[shown], [f"{prefix}{layer}" for layer in shown], rotation=90, va="center")
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelrotation=90, length=2)
    ax.set_ylabel("" if prefix else "layer")
    with_classes = any("+" in str(name) for name in wide.columns)
    ax.set_xlabel(("person (classes)" if with_classes else "person") if named else f"{wide.shape[1]} persons")
    return ax


# What fits under and beside a map of half a column.
_LONGEST_NAME, _LAYER_LABELS = 14, 8
_SPACING = 1.15  # of upright lines of text, in their size
_POINTS = 72.0  # in an inch


def _in_order(name: object) -> tuple[int, str]:
    """Sorting key: numbers by their size, before other names by the alphabet."""
    told = str(name)
    return (int(told), told) if told.isdecimal() and len(told) < _LONGEST_NAME else (10**_LONGEST_NAME, told)


def _fit_side_by_side(names: int, ax: Axes) -> bool:
    size = FontProperties(size=mpl.rcParams["xtick.labelsize"]).get_size_in_points()
    return names * size * _SPACING / _POINTS <= ax.bbox.width / ax.figure.dpi

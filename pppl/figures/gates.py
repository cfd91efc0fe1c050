"""Heat maps of gates: which channels are open for which person."""

from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties

from ..system.printable import printable
from ..tables.schema import with_names


def channel_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `layer`, `channel` and the mean open probability in `frame`, the most open channels of a layer first.

    >>> frame = pd.DataFrame({"layer": 0, "channel": [0, 1], "probability": [0.2, 0.9]})
    >>> channel_order(frame)["channel"].tolist()
    [1, 0]
    """
    means: Any = frame.groupby(["layer", "channel"], as_index=False)["probability"].mean()
    return means.sort_values(["layer", "probability"], ascending=[True, False], kind="stable")


def gates(frame: pd.DataFrame, order: pd.DataFrame, ax: Axes, *, colour_bar: bool = True) -> Axes:
    """Draw a heat map of open probabilities, channels by persons.

    ```python
    gates(frame, channel_order(frame), plt.subplots()[1])
    ```

    **Arguments:**

    - `frame`: rows of `gates.csv` for one protocol: `identity`, `layer`, `channel`, `probability`.
    - `order`: of channels, from top to bottom, from `channel_order`; the same for panels side by side.
    - `colour_bar`: whether a colour bar is drawn.
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
    prefix = "layer " if every == 1 and _have_room(sizes, ax) else ""
    shown = sizes.index[::every]
    ax.set_yticks((edges - sizes / 2)[shown], [f"{prefix}{layer}" for layer in shown], rotation=90, va="center")
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelrotation=90, length=2)
    ax.set_ylabel("" if prefix else "layer")
    with_classes = any("+" in str(name) for name in wide.columns)
    ax.set_xlabel(("person (classes)" if with_classes else "person") if named else f"{wide.shape[1]} persons")
    return ax


# The longest name below, and the most labels beside, a map half a column wide.
_LONGEST_NAME, _LAYER_LABELS = 14, 8
_LABEL_LENGTH = 3.5  # of "layer 1", in font sizes
_SPACING = 1.15  # distance between rotated labels, in font sizes
_POINTS = 72.0  # per inch


def _in_order(name: object) -> tuple[int, str]:
    """Return a sorting key: numbers by value, then other names alphabetically."""
    text = str(name)
    return (int(text), text) if text.isdecimal() and len(text) < _LONGEST_NAME else (10**_LONGEST_NAME, text)


def _have_room(sizes: Any, ax: Axes) -> bool:
    """Return whether each layer is as high as its rotated label is long."""
    size = FontProperties(size=mpl.rcParams["ytick.labelsize"]).get_size_in_points()
    least = float(sizes.min() / sizes.sum()) * ax.bbox.height / ax.figure.dpi * _POINTS
    return least >= size * _LABEL_LENGTH


def _fit_side_by_side(names: int, ax: Axes) -> bool:
    size = FontProperties(size=mpl.rcParams["xtick.labelsize"]).get_size_in_points()
    return names * size * _SPACING / _POINTS <= ax.bbox.width / ax.figure.dpi

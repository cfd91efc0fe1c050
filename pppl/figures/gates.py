"""Which channels are open for whom."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes


def gates(frame: pd.DataFrame, ax: Axes, *, colour_bar: bool = True) -> Axes:
    """Draws a heat map of open probabilities, channels by persons; channels are sorted by their mean inside a layer.

    **Arguments:**

    - `frame`: rows of `gates.csv` for one protocol: `identity`, `layer`, `channel`, `probability`.
    """
    wide = frame.pivot(index=["layer", "channel"], columns="identity", values="probability")
    named = max(map(len, wide.columns.astype(str))) <= _LONGEST_NAME
    order = wide.mean(axis=1).to_frame("mean").reset_index().sort_values(["layer", "mean"], ascending=[True, False])
    wide = wide.loc[list(zip(order["layer"], order["channel"], strict=True))]
    sns.heatmap(
        wide.to_numpy(),
        ax=ax,
        vmin=0,
        vmax=1,
        cmap="cividis",
        cbar=colour_bar,
        cbar_kws={"label": "probability that the channel is open"},
        xticklabels=list(wide.columns) if named else False,
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
    ax.set_xlabel("person (classes)" if named else f"{wide.shape[1]} persons")
    return ax


# What fits under and beside a map of half a column.
_LONGEST_NAME, _LAYER_LABELS = 14, 8

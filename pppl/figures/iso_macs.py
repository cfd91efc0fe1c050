"""MACs at the same score: how small a network can be and still be nearly as good as the full one."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from ..tables.metric import ACCURACY, Metric
from ..tables.schema import with_names
from .layout import percents
from .looks import BUILT_IN, Looks

# Appearance of bars, by points below the full network.
_BARS: dict[str, dict[str, Any]] = {
    "1": {"facecolor": "#0072B2"},
    "3": {"facecolor": "#56B4E9", "edgecolor": "#ffffff", "hatch": "/////", "lw": 0},
}
_NONE: dict[str, Any] = {"facecolor": "none", "edgecolor": "#999999", "lw": 0.6}


def iso_macs(curves: pd.DataFrame, series: Sequence[tuple[str, str]], ax: Axes, *, looks: Looks = BUILT_IN) -> Axes:
    """Draw the least MACs within 1 and 3 points of the full network's score as bars, with 95 % intervals.

    A bar without colour reaches to 1: no budget suffices, only the full network itself. An interval that reaches to 1
    ends in an arrow.

    ```python
    iso_macs(pd.read_csv("results/mine/curves.csv"), [("ppp", "own"), ("l1", "")], plt.subplots()[1])
    ```

    **Arguments:**

    - `curves`: rows of `curves.csv` for one protocol.
    - `series`: methods and controls, from top to bottom.
    - `looks`: of the experiment; by default the built-in ones.
    """
    curves = with_names(curves)
    by_series = {(str(row["method"]), str(row["control"])): row for row in curves.to_dict("records")}
    for place, key in enumerate(series):
        for offset, (points, bar) in zip((-0.2, 0.2), _BARS.items(), strict=True):
            if key in by_series:
                value, low, high = (by_series[key][f"macs_within_{points}{end}"] for end in ("", "_low", "_high"))
                ax.barh(place + offset, value, 0.36, **(bar if value < 1 else _NONE))
                if low < 1:
                    ax.plot([low, high], [place + offset] * 2, color="#000000", lw=0.8, marker="|", ms=3)
                    if high == 1:
                        ax.plot([high], [place + offset], color="#000000", marker=">", ms=2.5, clip_on=False)
    ax.set_yticks(range(len(series)), [looks.look(*key).label for key in series])
    ax.set_ylim(len(series) - 0.5, -0.5)
    ax.set_xlim(0, 1.02)
    ax.set_xticks([0, 0.25, 0.5, 0.75])  # no tick at 1, which is close to the next panel's 0
    percents(ax.xaxis)
    ax.set_xlabel("fraction of the full MACs")
    ax.grid(axis="x", lw=0.4, alpha=0.5)
    return ax


def iso_legend(metric: Metric = ACCURACY) -> list[Patch]:
    """Return the handles of the legend, whose labels say what the bars mean."""
    bars = [Patch(**bar, label=f"within {metric.step(int(points))} of full") for points, bar in _BARS.items()]
    return [*bars, Patch(**_NONE, label="no budget suffices")]

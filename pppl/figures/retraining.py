"""Score against the samples that a method is trained on, beyond those of the full network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from ..tables.schema import with_names
from .accuracy_vs_macs import lower_limit, score_axis
from .looks import BUILT_IN, Looks

_LINEAR = 10.0  # samples up to which the axis is linear; a logarithmic one has no place for 0


def training_label(row: Mapping[Any, Any]) -> float:
    """Return how many samples a row's network was trained on after pruning, for the person or for everybody.

    `train_samples` also counts the training of gates, which precedes pruning. It is added for methods with `+retrain`
    only, which have no gates.

    >>> training_label({"method": "ppp", "retrain_samples": 0, "train_samples": 500})
    0
    """
    retrained = "retrain" in str(row["method"]).split("+")[1:]
    return row["retrain_samples"] + (_for_all(row) if retrained else 0)


def samples_of(row: Mapping[Any, Any]) -> float:
    """Return how many samples went through training, for the person and for everybody, beyond the full network's.

    >>> samples_of({"method": "ppp", "retrain_samples": 0, "train_samples": 500})
    500
    """
    return row["retrain_samples"] + _for_all(row)


def _for_all(row: Mapping[Any, Any]) -> float:
    """Return `train_samples`, or 0 for tables of earlier versions, which lack them."""
    count = row.get("train_samples", 0)
    return 0 if count != count else count


def retraining(rows: pd.DataFrame, series: Sequence[tuple[str, str]], ax: Axes, *, looks: Looks = BUILT_IN) -> Axes:
    """Draw the score, with 95 % intervals, over the samples trained on.

    Samples that go through a training step count, for the person and for everybody, beyond those of the full network.

    ```python
    retraining(rows, shown_series(rows), plt.subplots()[1])
    ```

    **Arguments:**

    - `rows`: of `summary.csv` for one protocol and one budget, with those of methods that do not prune.
    - `series`: methods and controls, in the order of the legend.
    - `looks`: of the experiment; by default the built-in ones.
    """
    rows = with_names(rows)
    by_series = {(str(row["method"]), str(row["control"])): row for row in rows.to_dict("records")}
    untrained = [key for key in series if samples_of(by_series[key]) == 0]
    # Side by side, since many of them have about the same score.
    places = dict(zip(untrained, np.linspace(-_LINEAR, _LINEAR, len(untrained) + 2)[1:-1], strict=True))
    for key in series:
        row, style = by_series[key], looks.look(*key)
        spread = [[max(0.0, row["score"] - row["score_low"])], [max(0.0, row["score_high"] - row["score"])]]
        ax.errorbar(
            places.get(key, samples_of(row)), row["score"], yerr=spread, ls="", color=style.colour,
            marker=style.marker or "_", ms=5, **style.face, capsize=1.5, elinewidth=0.8, label=style.label,
        )  # fmt: skip
    ax.set_xscale("symlog", linthresh=_LINEAR, linscale=1)
    right = max(300.0, 2 * max(map(samples_of, by_series.values())))
    ax.set_xticks([0, *(10**power for power in range(2, 9) if 10**power <= right)])
    ax.set_xlim(-_LINEAR, right)
    ax.xaxis.set_major_formatter(FuncFormatter(_count))
    ax.xaxis.set_minor_locator(NullLocator())
    score_axis(rows, min(0.0, lower_limit(rows)), ax)
    ax.set_xlabel("samples trained on, for person and all")
    ax.grid(axis="y", lw=0.4, alpha=0.5)
    return ax


def _count(value: float, _: int) -> str:
    if value == 0:
        return "none"
    return f"{value:g}" if value < 1000 else f"{value / 1000:g} k"

"""Panels of text tasks: scores of ways to adapt an encoder, and bytes stored as tasks arrive."""

from collections.abc import Mapping
from math import isnan
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..tables.schema import with_names
from .looks import label_task, task_look, task_rank


def task_scores(rows: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the score of each method with its 95 % interval, one below the other; a line marks full fine-tuning.

    ```python
    task_scores(summary.query("task == 'average'"), plt.subplots()[1])
    ```

    **Arguments:**

    - `rows`: of `summary.csv` for one task; the columns `method`, `task_bytes`, `score`, `score_low` and `score_high`
      are read.
    """
    rows = with_names(rows)
    by_method = {str(row["method"]): row for row in rows.to_dict("records")}
    labels = []
    for place, method in enumerate(sorted(by_method, key=task_rank)):
        row, (_, colour) = by_method[method], task_look(method)
        spread = [[max(0.0, row["score"] - row["score_low"])], [max(0.0, row["score_high"] - row["score"])]]
        ax.errorbar(row["score"], place, xerr=spread, color=colour, marker="o", capsize=1.5, elinewidth=0.9)
        if method == "full":
            ax.axvline(row["score"], color=colour, lw=0.6, ls=":")
        labels.append(label_with_size(row))
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g}"))
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.grid(axis="x", lw=0.4, alpha=0.5)
    return ax


def label_with_size(row: Mapping[Any, Any]) -> str:
    """Return the label of a method, with the bytes that it stores for a task.

    >>> label_with_size({"method": "lora", "task_bytes": 250_000.0})
    'LoRA (0.25 MB)'
    """
    return f"{label_task(row['method'])} ({_size(row['task_bytes'])})"


def _size(count: float) -> str:
    """Return bytes in MB or kB with two digits; `diverged` if no training finished."""
    if isnan(count):
        return "diverged"
    return f"{count / 1e6:.2g} MB" if count >= 1e5 else f"{count / 1e3:.2g} kB"


def storage(stream: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the bytes stored after each task: one base with deltas, and a whole network for each task.

    ```python
    storage(pd.read_csv("results/minilm/stream.csv"), plt.subplots()[1])
    ```

    **Arguments:**

    - `stream`: the columns `step`, `stored_bytes` and `copies_bytes` are read.
    """
    ax.plot(stream["step"], stream["copies_bytes"] / 1e6, color="#000000", marker="s", ls="--", label="full copies")
    ax.plot(stream["step"], stream["stored_bytes"] / 1e6, color="#0072B2", marker="o", label="base and deltas")
    ax.set_xlabel("tasks so far")
    ax.set_ylabel("stored (MB)")
    ax.set_ylim(0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y", lw=0.4, alpha=0.5)
    ax.legend(frameon=False)
    return ax

"""Figures of a comparison on text tasks."""

import pandas as pd
from matplotlib.figure import Figure

from ..system.printable import clip
from ..tables.schema import with_names
from .layout import inches, wrap, wrap_label
from .task_scores import label_with_size, storage, task_scores
from .venues import active_venue

_NARROWEST = 0.95  # inches of a panel that has room for three numbers
_MOST_IN_A_ROW = 5
_LONGEST = 60  # characters of a title
_TIMES_100 = " \N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}100"


def scores_figure(summary: pd.DataFrame) -> Figure:
    """Draw the scores of ways to adapt an encoder, a panel for each task.

    ```python
    scores_figure(pd.read_csv("results/minilm/summary.csv")).savefig("scores.pdf")
    ```
    """
    summary = with_names(summary)
    by_task = {str(task): rows for task, rows in summary.groupby("task", sort=False)}
    # The average is last in the table and first in the figure, since the labels state its bytes.
    names = [*list(by_task)[-1:], *list(by_task)[:-1]]
    left = max(inches(label_with_size(row), 7.0) for row in by_task[names[0]].to_dict("records")) + 0.1
    fit = max(1, min(_MOST_IN_A_ROW, int((active_venue().text - left) / _NARROWEST)))
    rows = -(-len(names) // fit)
    columns = -(-len(names) // rows)
    height = rows * (0.75 + 0.19 * len(set(summary["method"])))
    figure = Figure(figsize=(active_venue().text, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for index, ax in enumerate(axes):
        if index >= len(names):
            ax.remove()
            continue
        task_scores(by_task[names[index]], ax)
        if index % columns:
            ax.tick_params(labelleft=False)
        width = (active_venue().text - left) / columns - 0.1
        title = clip(names[index].split("/")[-1].removesuffix(".csv").replace("_", " "), _LONGEST)
        ax.set_title("\n".join(wrap(title, width, float(ax.title.get_fontsize()))))
        metric = by_task[names[index]]["metric"].iloc[0]
        label = {"accuracy": "accuracy (%)", "": f"mean score{_TIMES_100}"}.get(metric, f"{metric}{_TIMES_100}")
        ax.set_xlabel(label)
        wrap_label(ax, width)
    return figure


def storage_figure(stream: pd.DataFrame) -> Figure:
    """Draw the bytes stored as tasks arrive.

    ```python
    storage_figure(pd.read_csv("results/minilm/stream.csv")).savefig("storage.pdf")
    ```
    """
    figure = Figure(figsize=(active_venue().column, 2.2), layout="constrained")
    storage(stream, figure.subplots())
    return figure

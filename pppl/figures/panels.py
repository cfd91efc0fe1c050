"""How panels, one for each protocol, make a figure."""

import textwrap
from itertools import chain
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from .accuracy_vs_bytes import accuracy_vs_bytes
from .accuracy_vs_macs import accuracy_vs_macs, lower_limit, shown_budgets, shown_series
from .families import families
from .gates import channel_order, gates
from .iso_macs import iso_legend, iso_macs
from .personal_gain import personal_gain
from .retraining import retraining
from .style import LOOKS, TEXT_WIDTH, look
from .tasks import storage, task_scores


def _panels(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The frame by protocol, in the order of the table; seen and unseen people apart where there are both."""
    told = len(frame["seen"].unique()) > 1
    panels = []
    for persons, of_protocol in frame.groupby("persons", sort=False):
        for seen, rows in of_protocol.groupby("seen", sort=False):
            whom = {"True": ", seen", "False": ", unseen"}[str(seen)] * told
            panels.append((_protocol(str(persons)) + whom, rows))
    return panels


def _protocol(persons: str) -> str:
    """`2 classes` as `persons of 2 classes`, `person+2 classes` as `2 classes of a person`."""
    if persons == "person":
        return "all classes of a person"
    own = persons.removeprefix("person+")
    return f"persons of {persons}" if own == persons else f"{own} of a person"


def _grid(panels: int, height: float, tall: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure of at most three axes in a row; `tall` where there are several rows."""
    figure = Figure(figsize=(TEXT_WIDTH, height if panels <= 3 else tall), layout="constrained")
    return figure, _axes(figure, panels)


def _axes(figure: Figure | SubFigure, panels: int) -> list[list[Axes]]:
    """At most three axes in a row, what is left over removed."""
    rows = -(-panels // 3)
    columns = -(-panels // rows)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False).tolist()
    for _ in range(rows * columns - panels):
        axes[-1].pop().remove()
    return axes


def _label(figure: Figure | SubFigure, axes: list[list[Axes]], label: str, **legend: Any) -> None:
    """Writes the label of the vertical axes, and one legend for all of them below."""
    for first, *_ in axes:
        first.set_ylabel(label)
    handles = {
        label: handle for ax in chain(*axes) for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend([*handles.values()], [*handles], loc="outside lower center", frameon=False, **legend)


def accuracy_figure(summary: pd.DataFrame) -> Figure:
    """Accuracy against MACs; of many series, each family of methods has a row of its own."""
    panels, rows_of = _panels(summary), families(summary)
    height = (3.1 if len(panels) <= 3 else 5.4) - 0.5 * (len(rows_of) > 2)
    figure = Figure(figsize=(TEXT_WIDTH, height * len(rows_of)), layout="constrained")
    parts = figure.subfigures(len(rows_of), 1, squeeze=False)[:, 0]
    for part, (family, series) in zip(parts, rows_of.items(), strict=True):
        axes = _axes(part, len(panels))
        shown = [key in series for key in zip(summary["method"], summary["control"], strict=True)]
        bottom = lower_limit(summary.loc[shown])
        for ax, (name, rows) in zip(chain(*axes), panels, strict=True):
            there = set(zip(rows["method"], rows["control"], strict=True))
            accuracy_vs_macs(rows, ax, [each for each in series if each in there], bottom=bottom)
            count, people = int(rows["n"].to_numpy().max()), int(rows["people"].to_numpy().max())
            of = f", {people} people" if rows["persons"].iloc[0].startswith("person") else ""
            ax.set_title(f"{name} (n = {count}{of})")
        _label(part, axes, "accuracy on the person's queries", ncols=4, columnspacing=1.2)
        if family:
            part.suptitle(family, fontsize=9, fontweight="bold")
    return figure


def bytes_figure(summary: pd.DataFrame) -> Figure:
    """Accuracy against the bytes of a person's file."""
    panels = _panels(summary)
    figure, axes = _grid(len(panels), 2.6, 4.6)
    for ax, (name, rows) in zip(chain(*axes), panels, strict=True):
        accuracy_vs_bytes(rows, ax)
        ax.set_title(name)
    _label(figure, axes, "accuracy on the queries", ncols=2)
    return figure


def iso_figure(curves: pd.DataFrame) -> Figure:
    """MACs at iso-accuracy; whom no budget suffices for is named below."""
    panels, every = _panels(curves), shown_series(curves)
    series = shown_series(curves.loc[curves["macs_within_3_low"] < 1]) or every
    never = [look(*key).label for key in every if key not in series]
    told = textwrap.wrap(f"No budget suffices: {'; '.join(never)}.", 125) if never else []
    rows = -(-len(panels) // 3)
    figure, axes = _grid(len(panels), *[rows * (0.6 + 0.2 * len(series)) + 0.3 + 0.12 * len(told)] * 2)
    for ax, (name, of_panel) in zip(chain(*axes), panels, strict=True):
        iso_macs(of_panel, series, ax)
        ax.set_title(name)
    where = {"loc": "outside lower center", "frameon": False, "ncols": 3}
    figure.legend(handles=iso_legend(), title="\n".join(told) or None, title_fontsize=7, **where)
    return figure


def gain_figure(table: pd.DataFrame, gains: pd.DataFrame) -> Figure:
    """Personal gain, a dot for each person where there is room."""
    tested = table.merge(gains[["persons", "seen"]].drop_duplicates(), on=["persons", "seen"])
    panels, means = _panels(tested), dict(_panels(gains))
    figure, axes = _grid(len(panels), 2.6, 4.6)
    for ax, (name, rows) in zip(chain(*axes), panels, strict=True):
        personal_gain(rows, means[name], ax)
        ax.set_title(name)
    _label(figure, axes, "own less another's\naccuracy (points)", ncols=2)
    return figure


def retraining_figure(summary: pd.DataFrame) -> Figure:
    """Retraining cost against accuracy, budget by budget; what is not pruned stands at each."""
    least = summary.groupby(["method", "control"])["budget"].transform("min")
    panels = [
        (name if budget == 1 else f"{name}\nbudget {budget * 100:g} %", rows)
        for budget in shown_budgets(summary)
        for name, rows in _panels(summary.loc[(summary["budget"] == budget) | (least == 1)])
    ]
    figure, axes = _grid(len(panels), 3.4, 2.0 * -(-len(panels) // 3) + 1.8)
    for ax, (name, rows) in zip(chain(*axes), panels, strict=True):
        retraining(rows, _told_with_training(rows), ax)
        ax.set_title(name)
    _label(figure, axes, "accuracy on the queries", ncols=3, columnspacing=1.2)
    return figure


def _told_with_training(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """What trains a network, and of what does not the methods that have a look of their own."""
    trained = {
        (str(row["method"]), str(row["control"])) for row in rows.to_dict("records") if row["retrain_samples"] > 0
    }
    return [key for key in shown_series(rows) if key in trained or key in LOOKS]


def gates_figure(frame: pd.DataFrame) -> Figure:
    """Gates, channels by persons."""
    panels = _panels(frame)
    figure, axes = _grid(len(panels), 4.2, 7.2)
    lasts, order = [row[-1] for row in axes], channel_order(frame)
    for ax, (name, rows) in zip(chain(*axes), panels, strict=True):
        gates(rows, order, ax, colour_bar=ax in lasts)
        ax.set_title(name)
    return figure


def scores_figure(summary: pd.DataFrame) -> Figure:
    """Scores of ways to adapt an encoder, task by task."""
    by_task = {str(task): rows for task, rows in summary.groupby("task", sort=False)}
    # The average, which comes last in the table, first: the labels tell its bytes.
    names = [*list(by_task)[-1:], *list(by_task)[:-1]]
    rows = -(-len(names) // 5)
    columns = -(-len(names) // rows)
    height = rows * (0.65 + 0.19 * len(set(summary["method"])))
    figure = Figure(figsize=(TEXT_WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for index, ax in enumerate(axes):
        if index >= len(names):
            ax.remove()
            continue
        task_scores(by_task[names[index]], ax)
        if index % columns:
            ax.tick_params(labelleft=False)
        ax.set_title(names[index].split("/")[-1].removesuffix(".csv").replace("_", " "))
        metric = by_task[names[index]]["metric"].iloc[0]
        ax.set_xlabel({"accuracy": "accuracy (%)", "": "score (%)"}.get(metric, metric))
    return figure


def storage_figure(stream: pd.DataFrame) -> Figure:
    """What is stored as tasks come."""
    figure = Figure(figsize=(TEXT_WIDTH / 2, 2.2), layout="constrained")
    storage(stream, figure.subplots())
    return figure

"""Figures of a comparison on persons, with a panel for each protocol."""

from itertools import chain

import pandas as pd
from matplotlib.figure import Figure

from ..tables.metric import metric_of
from ..tables.schema import with_names
from .accuracy_vs_bytes import accuracy_vs_bytes
from .accuracy_vs_macs import accuracy_vs_macs, lower_limit, shown_budgets, shown_series
from .families import families
from .gates import channel_order, gates
from .iso_macs import iso_legend, iso_macs
from .layout import ROW_HEIGHT, axes_of, inches, label, make_room, panel_grid, rows_of, wrap, write_legend, write_titles
from .looks import BUILT_IN, Looks
from .personal_gain import personal_gain
from .protocols import by_protocol, count_protocols
from .retraining import retraining, samples_of
from .venues import active_venue

_NOTE_SIZE = 7.0


def accuracy_figure(summary: pd.DataFrame, *, looks: Looks = BUILT_IN) -> Figure:
    """Draw scores against MACs, a panel for each protocol.

    If there are many series, each family of methods has a row of panels. Four families or more are higher than a page:
    pass the rows of fewer methods for a figure that fits.

    ```python
    accuracy_figure(pd.read_csv("results/mine/summary.csv")).savefig("accuracy.pdf")
    ```
    """
    summary = with_names(summary)
    panels, series_of = by_protocol(summary), families(summary, looks)
    on_queries = f"{metric_of(summary).title} on queries"
    height = (ROW_HEIGHT - 0.2 * (len(series_of) > 2)) * rows_of(len(panels))
    figure = Figure(figsize=(active_venue().text, height * len(series_of)), layout="constrained")
    places = figure.add_gridspec(len(series_of), 1)
    heights = []
    for row, (family, series) in enumerate(series_of.items()):
        part = figure.add_subfigure(places[row, 0])
        axes = axes_of(part, len(panels))
        shown = [key in series for key in zip(summary["method"], summary["control"], strict=True)]
        bottom = lower_limit(summary.loc[shown])
        for ax, (_, rows) in zip(chain(*axes), panels, strict=True):
            there = set(zip(rows["method"], rows["control"], strict=True))
            accuracy_vs_macs(rows, ax, [each for each in series if each in there], bottom=bottom, looks=looks)
        write_titles(axes, [(name, f"({count_protocols(rows)})") for name, rows in panels])
        below = label(part, axes, on_queries, most=4)
        if family:
            part.suptitle(family, fontsize="medium", fontweight="bold")
        heights.append(height + below + 0.2 * bool(family))
    places.set_height_ratios(heights)
    make_room(figure, sum(heights) - figure.get_figheight())
    return figure


def bytes_figure(summary: pd.DataFrame, *, looks: Looks = BUILT_IN) -> Figure:
    """Draw scores against the bytes of a person's file, a panel for each protocol.

    ```python
    bytes_figure(pd.read_csv("results/mine/summary.csv")).savefig("bytes.pdf")
    ```
    """
    summary = with_names(summary)
    panels = by_protocol(summary)
    figure, axes = panel_grid(len(panels), ROW_HEIGHT)
    for ax, (_, rows) in zip(chain(*axes), panels, strict=True):
        accuracy_vs_bytes(rows, ax, looks=looks)
    write_titles(axes, [(name,) for name, _ in panels])
    make_room(figure, label(figure, axes, f"{metric_of(summary).title} on queries", most=4))
    return figure


def iso_figure(curves: pd.DataFrame, *, looks: Looks = BUILT_IN) -> Figure:
    """Draw MACs at the same score as the full network; methods that are never within 3 points are named below.

    ```python
    iso_figure(pd.read_csv("results/mine/curves.csv")).savefig("iso_macs.pdf")
    ```
    """
    curves = with_names(curves)
    panels, every = by_protocol(curves), shown_series(curves, looks)
    series = shown_series(curves.loc[curves["macs_within_3_low"] < 1], looks) or every
    names = {key: looks.look(*key).label for key in every}
    never = [name for key, name in names.items() if key not in series]
    note = f"No budget suffices: {'; '.join(never)}." if never else ""
    figure, axes = panel_grid(len(panels), 0.75 + 0.2 * len(series))
    for ax, (_, of_panel) in zip(chain(*axes), panels, strict=True):
        iso_macs(of_panel, series, ax, looks=looks)
    write_titles(axes, [(name,) for name, _ in panels], beside=max(inches(names[key], 7.0) for key in series) + 0.1)
    bars, note = iso_legend(metric_of(curves)), "\n".join(wrap(note, active_venue().text - 0.2, _NOTE_SIZE))
    below = write_legend(
        figure, bars, [str(bar.get_label()) for bar in bars], most=3, title=note or None, title_fontsize=_NOTE_SIZE
    )
    make_room(figure, below)
    return figure


def gain_figure(table: pd.DataFrame, gains: pd.DataFrame, *, looks: Looks = BUILT_IN) -> Figure:
    """Draw the personal gain, with a dot for each person where there is room.

    Panels show the gain over a twin (the effect of who it is) and over a swap (the effect of which classes). A protocol
    with neither has the gain over another person.

    ```python
    gain_figure(pd.read_csv("table.csv.gz"), pd.read_csv("gains.csv")).savefig("gain.pdf")
    ```

    **Arguments:**

    - `table`, `gains`: `table.csv.gz` and `gains.csv`.
    - `looks`: of the experiment; by default the built-in ones.
    """
    table = with_names(table)
    gains = with_names(gains)
    tested = table.merge(gains[["persons", "seen"]].drop_duplicates(), on=["persons", "seen"])
    means = dict(by_protocol(gains))
    panels = [(name, rows, each) for name, rows in by_protocol(tested) for each in _controls(means[name])]
    figure, axes = panel_grid(len(panels), ROW_HEIGHT)
    for ax, (name, rows, against) in zip(chain(*axes), panels, strict=True):
        personal_gain(rows, means[name], ax, against, looks=looks)
    write_titles(axes, [(f"{name}:", _LESS[against]) for name, _, against in panels])
    metric = metric_of(table)
    difference = f"{metric.title}{' (points)' * metric.percent}"
    make_room(figure, label(figure, axes, f"own less a control's\n{difference}", most=4))
    return figure


_LESS = {"twin": "own less a twin's", "swap": "own less other classes'", "other": "own less another's"}


def _controls(gains: pd.DataFrame) -> list[str]:
    there = set(gains["against"])
    return [each for each in ("twin", "swap") if each in there] or ["other"]


def retraining_figure(summary: pd.DataFrame, *, looks: Looks = BUILT_IN) -> Figure:
    """Draw scores against training samples, a panel for each budget and protocol.

    Methods that do not prune are in all panels of their protocol.

    ```python
    retraining_figure(pd.read_csv("results/mine/summary.csv")).savefig("retraining.pdf")
    ```
    """
    summary = with_names(summary)
    least = summary.groupby(["method", "control"])["budget"].transform("min")
    panels = [
        ((name,) if budget == 1 else (name, f"budget {budget * 100:g} %"), rows)
        for budget in shown_budgets(summary)
        for name, rows in by_protocol(summary.loc[(summary["budget"] == budget) | (least == 1)])
    ]
    figure, axes = panel_grid(len(panels), ROW_HEIGHT + 0.1)
    for ax, (_, rows) in zip(chain(*axes), panels, strict=True):
        retraining(rows, _retraining_series(rows, looks), ax, looks=looks)
    write_titles(axes, [parts for parts, _ in panels], apart=True)
    make_room(figure, label(figure, axes, f"{metric_of(summary).title} on queries", most=4))
    return figure


def _retraining_series(rows: pd.DataFrame, looks: Looks) -> list[tuple[str, str]]:
    """Select series that retrain, plus untrained methods whose look is known."""
    trained = {(str(row["method"]), str(row["control"])) for row in rows.to_dict("records") if samples_of(row) > 0}
    return [key for key in shown_series(rows, looks) if key in trained or key in looks.known]


def gates_figure(frame: pd.DataFrame) -> Figure:
    """Draw the probability that gates are open, channels by persons, a panel for each protocol.

    ```python
    gates_figure(pd.read_csv("results/mine/gates.csv")).savefig("gates.pdf")
    ```
    """
    frame = with_names(frame)
    panels = by_protocol(frame)
    figure, axes = panel_grid(len(panels), 4.2 if rows_of(len(panels)) == 1 else 3.6)
    lasts, order = [row[-1] for row in axes], channel_order(frame)
    for ax, (_, rows) in zip(chain(*axes), panels, strict=True):
        gates(rows, order, ax, colour_bar=ax in lasts)
        ax.label_outer()  # panels in a row share the names of layers
    write_titles(axes, [(name,) for name, _ in panels], beside=2 * _BESIDE_GATES)
    return figure


_BESIDE_GATES = 0.5  # inches of the colour bar, and the same for names of layers

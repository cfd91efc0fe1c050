"""How panels, their titles and a legend share the width of a page."""

import textwrap
from collections.abc import Sequence
from itertools import chain
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter

from .venues import active_venue

ROW_HEIGHT = 2.1  # inches of a row of panels with titles and labels, legend apart
_MOST_IN_A_ROW = 3
_POINTS = 72.0  # in an inch
_GAP = 0.12  # inches between texts of neighbours
_PAD = 0.1  # inches around a legend
_FILLED = 0.95  # of the width, by a legend at most: text is wider by some percent in a file than on the screen
_SPACING = 1.0  # of lines; those of STIX are far apart
_LABEL = 0.55  # inches that numbers and the label of a vertical axis take


def percents(axis: Any) -> None:
    """Tells the fractions along an axis in %, no tick rounded."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def log_ticks(low: float, high: float, usual: Sequence[float]) -> list[float]:
    """Return the usual ticks between the ends of a logarithmic axis; where there are none, others, at least one."""
    ticks = [tick for tick in usual if low <= tick <= high]
    if ticks or not 0 < low <= high:
        return ticks
    decade = 10.0 ** np.floor(np.log10(low))
    finer = [
        float(f"{digit * power:.3g}") for power in (decade, 10 * decade) for digit in (1, 1.5, 2, 2.5, *range(3, 10))
    ]
    return [tick for tick in finer if low <= tick <= high] or [float(f"{np.sqrt(low * high):.3g}")]


def rows_of(panels: int) -> int:
    """How many rows so many panels have."""
    return -(-panels // _MOST_IN_A_ROW)


def panel_grid(panels: int, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure as wide as the text, whose rows of panels are `height` inches high."""
    figure = Figure(figsize=(active_venue().text, rows_of(panels) * height), layout="constrained")
    return figure, axes_of(figure, panels)


def axes_of(figure: Figure | SubFigure, panels: int) -> list[list[Axes]]:
    """At most three axes in a row, what is left over removed."""
    rows = rows_of(panels)
    columns = -(-panels // rows)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False).tolist()
    for _ in range(rows * columns - panels):
        axes[-1].pop().remove()
    return axes


def write_titles(
    axes: list[list[Axes]], titles: Sequence[Sequence[str]], *, beside: float = _LABEL, apart: bool = False
) -> None:
    """Writes titles, and labels of horizontal axes, in as many lines as the width of a panel asks for.

    **Arguments:**

    - `titles`: the parts of each panel's, between which lines break first, in all panels alike.
    - `beside`: inches to the left of all panels.
    - `apart`: whether parts have lines of their own in any case.
    """
    width = (active_venue().text - beside) / len(axes[0]) - _GAP
    size = FontProperties(size=mpl.rcParams["axes.titlesize"]).get_size_in_points()
    broken = apart or any(inches(" ".join(parts), size) > width for parts in titles)
    for ax, parts in zip(chain(*axes), titles, strict=True):
        lines = [line for part in parts for line in wrap(part, width, size)] if broken else [" ".join(parts)]
        ax.set_title("\n".join(lines), linespacing=_SPACING)
        wrap_label(ax, width)


def wrap_label(ax: Axes, width: float) -> None:
    """Writes the label of the horizontal axis in lines no wider than `width` inches."""
    label = ax.xaxis.label
    lines = wrap(label.get_text(), width, float(label.get_fontsize()))
    ax.set_xlabel("\n".join(lines), linespacing=_SPACING)


def write_legend(
    part: Figure | SubFigure, handles: Sequence[Any], labels: Sequence[str], *, most: int, **settings: Any
) -> float:
    """Writes a legend below the panels, of as many columns, up to `most`, as its width has room for.

    **Returns:** inches that it takes.
    """
    for upper in range(min(most, len(labels)), 0, -1):
        columns = -(-len(labels) // -(-len(labels) // upper))  # as few as have no more rows
        legend = part.legend(
            handles, labels, loc="outside lower center", frameon=False, ncols=columns, columnspacing=1.2, **settings
        )
        box = legend.get_window_extent()
        if columns == 1 or box.width <= _FILLED * part.bbox.width:
            return box.height / _dpi(part) + _PAD
        legend.remove()
    return 0.0


def label(part: Figure | SubFigure, axes: list[list[Axes]], text: str, *, most: int) -> float:
    """Writes the label of the vertical axes, and one legend for all of them below; returns inches that it takes."""
    for first, *_ in axes:
        first.set_ylabel(text)
    handles = {
        name: handle for ax in chain(*axes) for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    return write_legend(part, [*handles.values()], [*handles], most=most)


def make_room(figure: Figure, below: float) -> None:
    """Makes a figure `below` inches higher, for what stands below its panels."""
    figure.set_figheight(figure.get_figheight() + below)


def inches(text: str, size: float) -> float:
    """How wide a line of `text` is in letters of `size` points."""
    return text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0] / _POINTS


def wrap(text: str, width: float, size: float) -> list[str]:
    """Lines of `text` no wider than `width` inches, unless a word is."""
    characters = len(text)
    while characters > 1:
        lines = textwrap.wrap(text, characters, break_long_words=False)
        if all(inches(line, size) <= width or " " not in line for line in lines):
            return lines
        characters = min(characters, max(map(len, lines))) - 1
    return text.split() if text else [""]


def _dpi(part: Figure | SubFigure) -> float:
    return part.get_figure(root=True).dpi  # pyright: ignore[reportOptionalMemberAccess] (of a figure it is itself)

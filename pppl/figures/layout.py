"""Layout of panels, their titles and a legend on the width of a page."""

import textwrap
from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter

from ..tables.metric import Metric
from .venues import active_venue

ROW_HEIGHT = 2.1  # inches of a row of panels with titles and labels, without the legend
_POINTS = 72.0  # per inch
_GAP = 0.12  # inches between the texts of neighbouring panels
_PAD = 0.1  # inches around a legend
_FILLED = 0.95  # most of the width that a legend takes: text is some percent wider in a file than on screen
_SPACING = 1.0  # between lines; the default is too wide for STIX
LABEL_WIDTH = 0.55  # inches of the numbers and the label of a vertical axis


def percents(axis: Any) -> None:
    """Format the fractions along an axis in %, with up to four digits."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def scores(axis: Any, metric: Metric) -> None:
    """Format the values of a metric along an axis."""
    if metric.percent:
        percents(axis)
    else:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def log_ticks(low: float, high: float, usual: Sequence[float]) -> list[float]:
    """Return the usual ticks between the ends of a logarithmic axis, or finer ones if there are fewer than two.

    >>> log_ticks(0.04, 0.6, (0.01, 0.05, 0.1, 0.5)), log_ticks(0.21, 0.34, (0.1, 1.0))
    ([0.05, 0.1, 0.5], [0.25, 0.3])
    """
    ticks = [tick for tick in usual if low <= tick <= high]
    if len(ticks) > 1 or not 0 < low <= high:
        return ticks
    decade = 10.0 ** np.floor(np.log10(low))
    finer = [
        float(f"{digit * power:.3g}") for power in (decade, 10 * decade) for digit in (1, 1.5, 2, 2.5, *range(3, 10))
    ]
    return [tick for tick in finer if low <= tick <= high] or [float(f"{np.sqrt(low * high):.3g}")]


def rows_of(panels: int) -> int:
    """Return the number of rows of this many panels."""
    return -(-panels // active_venue().panels)


def panel_grid(panels: int, height: float, *, sharey: Literal["all", "row"] = "all") -> tuple[Figure, list[list[Axes]]]:
    """Return a figure as wide as the text, and its axes by row; each row is `height` inches high.

    **Arguments:**

    - `sharey`: which panels have the same vertical axis.
    """
    figure = Figure(figsize=(active_venue().text, rows_of(panels) * height), layout="constrained")
    return figure, axes_of(figure, panels, sharey=sharey)


def axes_of(figure: Figure | SubFigure, panels: int, *, sharey: Literal["all", "row"] = "all") -> list[list[Axes]]:
    """Add axes for `panels` panels to a figure and return them by row, at most as many as the venue has in a row."""
    rows = rows_of(panels)
    columns = -(-panels // rows)
    axes = figure.subplots(rows, columns, sharey=sharey, squeeze=False).tolist()
    for _ in range(rows * columns - panels):
        axes[-1].pop().remove()
    return axes


def write_titles(
    axes: list[list[Axes]], titles: Sequence[Sequence[str]], *, beside: float = LABEL_WIDTH, apart: bool = False
) -> None:
    """Write titles of panels, and wrap them and the labels of horizontal axes to the width of a panel.

    **Arguments:**

    - `titles`: the parts of each panel's title. If one title is too wide, all titles break between their parts.
    - `beside`: inches to the left of all panels.
    - `apart`: whether titles break between their parts in any case.
    """
    width = (active_venue().text - beside) / len(axes[0]) - _GAP
    size = FontProperties(size=mpl.rcParams["axes.titlesize"]).get_size_in_points()
    broken = apart or any(inches(" ".join(parts), size) > width for parts in titles)
    for ax, parts in zip(chain(*axes), titles, strict=True):
        lines = [line for part in parts for line in wrap(part, width, size)] if broken else [" ".join(parts)]
        ax.set_title("\n".join(lines), linespacing=_SPACING)
        wrap_label(ax, width)


def wrap_label(ax: Axes, width: float) -> None:
    """Wrap the label of the horizontal axis to `width` inches."""
    label = ax.xaxis.label
    lines = wrap(label.get_text(), width, float(label.get_fontsize()))
    ax.set_xlabel("\n".join(lines), linespacing=_SPACING)


def write_legend(
    part: Figure | SubFigure, handles: Sequence[Any], labels: Sequence[str], *, most: int, **settings: Any
) -> float:
    """Write a legend below the panels, in as many columns as fit its width, up to `most`.

    **Returns:** the height of the legend in inches.
    """
    for upper in range(min(most, len(labels)), 0, -1):
        columns = -(-len(labels) // -(-len(labels) // upper))  # the fewest columns for this number of rows
        legend = part.legend(
            handles, labels, loc="outside lower center", frameon=False, ncols=columns, columnspacing=1.2, **settings
        )
        box = legend.get_window_extent()
        if columns == 1 or box.width <= _FILLED * part.bbox.width:
            return box.height / _dpi(part) + _PAD
        legend.remove()
    return 0.0


def label(part: Figure | SubFigure, axes: list[list[Axes]], text: str, *, most: int) -> float:
    """Label the vertical axes, and write one legend for all panels below.

    **Returns:** the height of the legend in inches.
    """
    for first, *_ in axes:
        first.set_ylabel(text)
    handles = {
        name: handle for ax in chain(*axes) for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    return write_legend(part, [*handles.values()], [*handles], most=most)


def make_room(figure: Figure, below: float) -> None:
    """Make a figure `below` inches higher, for what stands below its panels."""
    figure.set_figheight(figure.get_figheight() + below)


def inches(text: str, size: float) -> float:
    """Return the width in inches of a line of `text` in letters of `size` points."""
    return text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0] / _POINTS


def wrap(text: str, width: float, size: float) -> list[str]:
    """Return lines of `text` no wider than `width` inches, unless a single word is wider.

    >>> wrap("accuracy on queries", 1.0, 9.0)
    ['accuracy on', 'queries']
    """
    characters = len(text)
    while characters > 1:
        lines = textwrap.wrap(text, characters, break_long_words=False, break_on_hyphens=False)
        if all(inches(line, size) <= width or " " not in line for line in lines):
            return lines
        characters = min(characters, max(map(len, lines))) - 1
    return text.split() if text else [""]


def _dpi(part: Figure | SubFigure) -> float:
    return part.get_figure(root=True).dpi  # pyright: ignore[reportOptionalMemberAccess] (a figure is its own root)

"""Overview of several data sets side by side: error against MACs for a few methods, named where their lines end."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FixedLocator, NullLocator

from ..tables.schema import with_names
from .accuracy_vs_macs import macs_axis, macs_range
from .layout import LABEL_WIDTH, ROW_HEIGHT, panel_grid, percents, wrap, write_titles
from .looks import BUILT_IN, Look, Looks

# The full network without and with its classes corrected, which is free; the simplest small network; PPP's; and one
# fine-tuned on labels of the person.
SERIES = (
    ("full", ""),
    ("full+classes", ""),
    ("l1_local+retrain+classes", ""),
    ("ppp+classes", "own"),
    ("l1_local+retrain+finetune", ""),
)
# Smaller errors are drawn at this one: a few hundred queries cannot tell them apart.
_LEAST = 1e-3
_NAMES = 1.15  # inches beside a row of panels for the names of its methods
_APART = 1.15  # between lines of names, in font sizes
_POINTS = 72.0  # per inch


@dataclass(frozen=True)
class _Curve:
    """A method in one panel: its errors with their intervals over its MACs, `(B,)` each."""

    look: Look
    macs: np.ndarray
    error: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def is_whole(self) -> bool:
        return bool((self.macs == 1).all())


def overview_figure(
    panels: Mapping[str, pd.DataFrame], series: Sequence[tuple[str, str]] = SERIES, *, looks: Looks = BUILT_IN
) -> Figure:
    """Draw error against MACs, a panel for each kind of persons.

    The names of the methods stand beside the last panel of each row, where their lines end.

    ```python
    overview_figure({"keywords": pd.read_csv("results/keywords/summary.csv").query("persons == 'person'")})
    ```

    **Arguments:**

    - `panels`: the rows of a `summary.csv` for one protocol, by title.
    - `series`: methods and controls, five at most. A panel shows those that it has. If it lacks a method with
      `+classes`, it shows the method without, drawn alike.
    - `looks`: of the experiments; by default the built-in ones.
    """
    frames = {title: with_names(rows) for title, rows in panels.items()}
    figure, axes = panel_grid(len(frames), ROW_HEIGHT, sharey="row")
    curves = [_curves(rows, series, looks) for rows in frames.values()]
    left = min(macs_range(rows.loc[rows["budget"] < 1])[0] for rows in frames.values())
    for row, start in zip(axes, range(0, len(curves), len(axes[0])), strict=True):
        of_row = curves[start : start + len(row)]
        for ax, drawn in zip(row, of_row, strict=True):
            _error_vs_macs(drawn, left, ax)
        least = min(float(curve.low.min()) for curve in chain(*of_row))
        row[0].set_ylim(0.85 * least, 1.0)
        row[0].set_ylabel("error on queries")
        _write_names(of_row[-1], row[-1])
    titles = [_title(title, rows) for title, rows in frames.items()]
    write_titles(axes, titles, beside=LABEL_WIDTH + _NAMES, apart=True)
    for ax in chain(*axes[:-1]):
        ax.set_xlabel("")
    return figure


def _title(title: str, rows: pd.DataFrame) -> tuple[str, str]:
    """Return a title in two parts: the data, and what stands in brackets with the number of persons."""
    data, _, persons = title.partition(" (")
    count = f"n = {int(rows['n'].to_numpy().max())}"
    return data, f"({persons.removesuffix(')')}, {count})" if persons else f"({count})"


def _curves(rows: pd.DataFrame, series: Sequence[tuple[str, str]], looks: Looks) -> list[_Curve]:
    there = set(zip(rows["method"], rows["control"], strict=True))
    curves = []
    for key, shown in _shown(series, there).items():
        of = rows.loc[(rows["method"] == shown[0]) & (rows["control"] == shown[1])].sort_values("macs_fraction")
        error, low, high = (1 - of[f"score{end}"].to_numpy(float) for end in ("", "_high", "_low"))
        error, low, high = (np.clip(each, _LEAST, 1) for each in (error, low, high))
        look = looks.look(*key)
        look = Look(looks.look(*shown).label, look.colour, look.marker, look.dash)
        curves.append(_Curve(look, of["macs_fraction"].to_numpy(float), error, low, high))
    return curves


def _shown(series: Sequence[tuple[str, str]], there: Set[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return what a panel shows of each series that it has: the series, or its method without `+classes`."""
    named = {key: (key, (key[0].removesuffix("+classes"), key[1])) for key in series}
    found = {key: next((each for each in both if each in there), None) for key, both in named.items()}
    return {key: shown for key, shown in found.items() if shown is not None and (shown == key or shown not in series)}


def _error_vs_macs(curves: Sequence[_Curve], left: float, ax: Axes) -> None:
    """Draw errors with 95 % intervals over the fraction of the full MACs; both axes are logarithmic.

    A method with all MACs is a level, with its interval at the right end.
    """
    whole = [curve for curve in curves if curve.is_whole]
    for place, curve in enumerate(whole):
        ax.axhline(curve.error[0], color=curve.look.colour, ls=curve.look.dash, lw=0.9, label=curve.look.label)
        _intervals(curve, ax, macs=curve.macs * 1.18**place, lw=0)
    for curve in curves:
        if not curve.is_whole:
            ax.plot([], [], color=curve.look.colour, label=curve.look.label)
            _intervals(curve, ax, macs=curve.macs, lw=1.2)
    macs_axis(left, 1.18 ** len(whole), ax)
    ax.set_xticks([tick for tick in (0.02, 0.05, 0.1, 0.25, 1.0) if tick >= left])
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(FixedLocator([0.001, 0.01, 0.1, 1.0]))
    ax.yaxis.set_minor_locator(NullLocator())
    percents(ax.yaxis)
    ax.grid(axis="y", lw=0.4, alpha=0.5)


def _intervals(curve: _Curve, ax: Axes, *, macs: np.ndarray, lw: float) -> None:
    look, spread = curve.look, [np.maximum(curve.error - curve.low, 0), np.maximum(curve.high - curve.error, 0)]
    ax.errorbar(
        macs, curve.error, yerr=spread, color=look.colour, lw=lw, marker=look.marker, ls=look.dash, **look.face,
        capsize=1.5, elinewidth=0.7, ms=4.5,
    )  # fmt: skip


def _write_names(curves: Sequence[_Curve], ax: Axes) -> None:
    """Write the name of each method beside a panel, at the height where its line ends, or as near as others let it."""
    size = FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points()
    names = ["\n".join(wrap(curve.look.label, _NAMES - 0.2, size)) for curve in curves]
    bottom, top = np.log10(ax.get_ylim())
    ends = [(np.log10(curve.error[-1]) - bottom) / (top - bottom) for curve in curves]
    line_height = size * _APART / _POINTS / (ROW_HEIGHT - 0.8)  # of the height of a panel
    places = _spread(ends, [line_height * (1 + name.count("\n")) for name in names])
    # From the left of a name: a line from its middle would cross the name above.
    line = {"arrowstyle": "-", "lw": 0.6, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)}
    for curve, name, end, place in zip(curves, names, ends, places, strict=True):
        start = 1.0 if curve.is_whole else ax.transLimits.transform((np.log10(curve.macs[-1]), 0))[0]
        look = curve.look
        ax.annotate(
            name, (start, end), (1.09, place), xycoords="axes fraction", color=look.colour, fontsize=size,
            va="center", linespacing=1.0, annotation_clip=False,
            arrowprops=line | {"color": look.colour, "ls": look.dash},
        )  # fmt: skip


def _spread(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Return the middles of labels of these heights, in the order of the middles that are wanted, without overlap.

    >>> [round(place, 2) for place in _spread([0.5, 0.52], [0.1, 0.1])]
    [0.46, 0.56]
    """
    order = sorted(range(len(wanted)), key=lambda at: wanted[at])
    half = np.array([heights[at] for at in order]) / 2
    offsets = np.concatenate([[0.0], np.cumsum(half[:-1] + half[1:])])
    # Middles less offsets may not fall: the nearest such values are those of isotonic regression.
    blocks: list[tuple[float, int]] = []
    for value in np.array([wanted[at] for at in order]) - offsets:
        mean, count = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, number = blocks.pop()
            mean, count = (mean * count + before * number) / (count + number), count + number
        blocks.append((mean, count))
    placed = np.repeat([mean for mean, _ in blocks], [count for _, count in blocks]) + offsets
    places = [0.0] * len(wanted)
    for at, place in zip(order, placed.tolist(), strict=True):
        places[at] = place
    return places

"""Venues where a figure is printed: their widths, fonts and other settings of matplotlib."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
from tueplots import figsizes, fontsizes

from ..system.errors import UserError, unknown

DEFAULT = "icml"
# Least size of letters in points that is readable on paper; tueplots goes down to 6.
_LEAST_SIZE = 7.0
_SHARED: dict[str, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "text.usetex": False,
    "text.parse_math": False,  # names of data, people and settings may contain $
    "pdf.fonttype": 42,  # TrueType, which submission systems require
    "savefig.bbox": "standard",  # no cropping: widths stay true
    "savefig.dpi": 200,
}
# Both fonts come with matplotlib, so figures are the same on every machine. STIX resembles Times.
_SERIF: dict[str, Any] = {"font.family": "STIXGeneral", "mathtext.fontset": "stix"}
_SANS: dict[str, Any] = {"font.family": "DejaVu Sans", "mathtext.fontset": "dejavusans"}


# Inches of a panel that has room for its numbers and its title, and the most panels in a row.
_LEAST_PANEL, _MOST_PANELS = 1.8, 3


@dataclass(frozen=True)
class Venue:
    """Widths of the text and of a column in inches, and rcParams of matplotlib."""

    text: float
    column: float
    rc: dict[Any, Any]

    @property
    def panels(self) -> int:
        """How many panels stand side by side at most."""
        return max(1, min(_MOST_PANELS, int(self.text / _LEAST_PANEL)))

    @property
    def narrow(self) -> "Venue":
        """The same venue, with figures as wide as a column."""
        height = self.rc["figure.figsize"][1]
        return replace(self, text=self.column, rc=self.rc | {"figure.figsize": (self.column, height)})


def _venue(text: dict[str, Any], column: dict[str, Any], sizes: Mapping[str, float], rc: dict[str, Any]) -> Venue:
    widths = [size["figure.figsize"][0] for size in (text, column)]
    return Venue(*widths, rc=_SHARED | text | {key: max(_LEAST_SIZE, size) for key, size in sizes.items()} | rc)


def _ieee(width: float) -> dict[str, Any]:
    """Return sizes as of tueplots, which has none for IEEE; widths are of IEEEtran.cls (journal, letter paper)."""
    return figsizes.icml2024_full() | {"figure.figsize": (width, width * 0.31)}


_NEURIPS = figsizes.neurips2024(ncols=1, height_to_width_ratio=0.31)
_BEAMER = figsizes.beamer_169(rel_width=1.0)  # the whole text of a slide: 140 mm of 160
VENUES = {
    "icml": _venue(figsizes.icml2024_full(), figsizes.icml2024_half(), fontsizes.icml2024(), _SERIF),
    "neurips": _venue(_NEURIPS, _NEURIPS, fontsizes.neurips2024(), _SERIF),  # one column
    "ieee": _venue(_ieee(7.16), _ieee(3.5), fontsizes.icml2024(), _SERIF),  # IEEE's captions have 8 points
    # Slides are shown on screens, which need more pixels for 140 mm.
    "slides": _venue(_BEAMER, _BEAMER, fontsizes.beamer(), _SANS | {"savefig.dpi": 350}),
}
_active: ContextVar[Venue] = ContextVar("venue", default=VENUES[DEFAULT])


@contextmanager
def style(venue: str, *, columns: int = 2) -> Iterator[Venue]:
    """Size and write figures inside the block for a venue; save them inside it, too.

    >>> with style("neurips") as venue:
    ...     venue.text
    5.5

    **Arguments:**

    - `venue`: `icml` (6.75 in of text, 3.25 a column), `neurips` (5.5), `ieee` (7.16, 3.5) or `slides` (5.5, sans
      serif).
    - `columns`: how many columns of the page a figure is wide, 2 (all of the text) or 1. `neurips` and `slides` have
      one column, which is all of the text.

    Raise `UserError` for any other venue or number of columns.
    """
    if venue not in VENUES:
        raise unknown("style", venue, VENUES)
    if columns not in (1, 2):
        raise UserError(f"columns is {columns!r}: a figure is 1 or 2 columns wide")
    chosen = VENUES[venue].narrow if columns == 1 else VENUES[venue]
    token = _active.set(chosen)
    try:
        with mpl.rc_context(chosen.rc):
            yield chosen
    finally:
        _active.reset(token)


def active_venue() -> Venue:
    """Return the venue of the innermost `style` block; ICML outside any.

    >>> active_venue().column
    3.25
    """
    return _active.get()

"""Venues where a figure is printed: their widths, fonts and other settings of matplotlib."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from tueplots import figsizes, fontsizes

from ..system.errors import unknown

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


@dataclass(frozen=True)
class Venue:
    """Widths of the text and of a column in inches, and rcParams of matplotlib."""

    text: float
    column: float
    rc: dict[Any, Any]


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
_active: ContextVar[str] = ContextVar("venue", default=DEFAULT)


@contextmanager
def style(venue: str) -> Iterator[Venue]:
    """Size and write figures inside the block for a venue; save them inside it, too.

    >>> with style("neurips") as venue:
    ...     venue.text
    5.5

    **Arguments:**

    - `venue`: `icml` (6.75 in of text, 3.25 a column), `neurips` (5.5), `ieee` (7.16, 3.5) or `slides` (5.5, sans
      serif).

    Raise `UserError` for any other venue.
    """
    if venue not in VENUES:
        raise unknown("style", venue, VENUES)
    token = _active.set(venue)
    try:
        with mpl.rc_context(VENUES[venue].rc):
            yield VENUES[venue]
    finally:
        _active.reset(token)


def active_venue() -> Venue:
    """Return the venue of the innermost `style` block; ICML outside any.

    >>> active_venue().column
    3.25
    """
    return VENUES[_active.get()]

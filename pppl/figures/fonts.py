"""Fonts for names in any script, as far as this machine has them."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

from ..system.printable import printable
from ..system.progress import notice

_FIRST = "DejaVu Sans"  # comes with matplotlib; covers most scripts except Chinese, Japanese and Korean
_NO_FONT = "Last Resort"  # comes with matplotlib, too; draws a box for each script


def characters_of(folder: Path) -> set[str]:
    """Return all characters in the tables of a folder, those of single rows left out, which figures do not name."""
    found: set[str] = set()
    for path in folder.glob("*.csv"):
        if path.is_file():
            found.update(path.read_text(encoding="utf-8", errors="surrogateescape"))
    return found


@contextmanager
def fonts_for(characters: Iterable[str]) -> Iterator[None]:
    """Write text inside the block in fonts of this machine that have these characters.

    The usual font is still used for all characters it has. A notice names characters that no font has.

    ```python
    with fonts_for("語"):
        figure.savefig("names.pdf")
    ```
    """
    wanted = {each for each in printable("".join(sorted(characters))) if each.isprintable() and not each.isascii()}
    usual = mpl.rcParams["font.family"]
    lacking = wanted - _covered(findfont(FontProperties(family=usual)), wanted)
    if not lacking:
        yield
        return
    families, unknown = _families(lacking)
    if unknown:
        shown = "".join(sorted(unknown)[:12]) + "…" * (len(unknown) > 12)
        notice(f"no installed font has {shown}: figures show boxes instead; install one that has, such as Noto Sans")
    with mpl.rc_context({"font.family": [*usual, *families]}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support .* natively")
        yield


def _families(lacking: set[str]) -> tuple[list[str], set[str]]:
    """Return the font families that have some of the characters, and the characters that none has."""
    families: list[str] = []
    every = sorted(fontManager.ttflist, key=lambda font: font.fname, reverse=True)
    fonts = {font.name: font.fname for font in every if not font.name.startswith(_NO_FONT)}
    for name in sorted(fonts, key=lambda name: (name != _FIRST, name)):
        if not lacking:
            break
        if found := _covered(fonts[name], lacking):
            families.append(name)
            lacking = lacking - found
    return families, lacking


def _covered(path: str, characters: set[str]) -> set[str]:
    try:
        known = get_font(path).get_charmap()
    except (OSError, RuntimeError, ValueError):  # the file is gone, or the font has bitmaps only
        return set()
    return {each for each in characters if ord(each) in known}

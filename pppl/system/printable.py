"""Text for a terminal, a figure or a page. Hardly anything is imported here, so that lists appear at once."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

# Cells of tables that stand for truth values, and the pattern of those that stand for numbers.
TRUTH = {"True": True, "False": False}
NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z|-?inf\Z")

# Marks that change the direction of the text after them, and the byte order mark.
_INVISIBLE = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def printable(text: str, keep: str = "") -> str:
    r"""Return text with its invisible characters written as escapes, except those in `keep`.

    Names from elsewhere may contain line ends, commands to a terminal, or bytes that are not text.

    >>> print(printable("one\ntwo"))
    one\ntwo
    """
    if text.isprintable():
        return text
    return "".join(letter if letter in keep or _is_visible(letter) else _escape(letter) for letter in text)


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") and character not in _INVISIBLE


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def clip(text: str, most: int) -> str:
    """Return the printable text, cut to `most` characters with `…` at its end if it is longer.

    >>> clip("quantization", 6)
    'quant…'
    """
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a printable text takes.

    >>> columns_of("café"), columns_of("日本")
    (4, 4)
    """
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line for each row of cells, with aligned columns.

    >>> align([["ann", "0.9"], ["barbara", "0.8"]])
    ['ann      0.9', 'barbara  0.8']
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(columns_of, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(_pad, row, widths)).rstrip() for row in cells]


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - columns_of(cell))


def cell_of(value: Any) -> Any:
    """Return a setting as a table cell that no other setting has: text that looks like a number gets quotes.

    >>> cell_of(1), cell_of("1"), cell_of(None)
    (1, '"1"', 'null')
    """
    import json

    if value is None or value != value:
        return "null" if value is None else "NaN"
    if isinstance(value, (bool, int, float)):
        return value
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    plain = value and value == value.strip() and value not in (*TRUTH, "null", "nan") and not NUMBER.match(value)
    return value if plain and value[0] not in '"[{' else json.dumps(value, ensure_ascii=False)

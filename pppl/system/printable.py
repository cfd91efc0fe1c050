"""Text that people see in a terminal, a figure or a page; hardly anything is imported: a list is there at once."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

# Cells of tables that stand for truth values, and those that stand for numbers.
TRUTH = {"True": True, "False": False}
NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z|-?inf\Z")

# Marks that turn around the text behind them, and one that is taken for the beginning of a file.
_TURNING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def printable(text: str, keep: str = "") -> str:
    """Return text with what has no shape written out (`\\n`, `\\x1b`), all but the characters of `keep`.

    Names from elsewhere may hold line ends, commands to a terminal, or bytes that are no text.
    """
    if text.isprintable():
        return text
    return "".join(each if each in keep or _has_shape(each) else _written_out(each) for each in text)


def _has_shape(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") and character not in _TURNING


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()


def clip(text: str, most: int) -> str:
    """Return the visible text, with `…` for what is beyond so many characters."""
    told = printable(text)
    return told if len(told) <= most else f"{told[: most - 1]}…"


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a visible text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(each) for each in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row of cells, columns below each other."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(columns_of, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(_filled, row, widths)).rstrip() for row in cells]


def _filled(cell: str, width: int) -> str:
    return cell + " " * (width - columns_of(cell))


def cell_of(value: Any) -> Any:
    """Return a setting as a cell of a table that tells it from any other."""
    import json

    if value is None or value != value:
        return "null" if value is None else "NaN"
    if isinstance(value, (bool, int, float)):
        return value
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    plain = value and value == value.strip() and value not in (*TRUTH, "null", "nan") and not NUMBER.match(value)
    return value if plain and value[0] not in '"[{' else json.dumps(value, ensure_ascii=False)

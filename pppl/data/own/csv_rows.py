"""CSV files of users, in every delimiter and encoding that spreadsheets write."""

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...system.errors import UserError

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16: its mark begins with the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LONGEST_CELL = 10_000_000  # in characters
CsvRow = tuple[int, list[str]]  # the number of the line that a row begins in, and its cells


def read_csv_rows(path: Path, content: bytes, wanted: Collection[str] = ()) -> tuple[list[str], list[CsvRow], str]:
    r"""Return the header of a CSV file, its other rows, and the delimiter and the encoding in words.

    **Arguments:**

    - `wanted`: names of columns, in lower case. The delimiter is the one that gives the header most of them.

    Raise `UserError`, with the line, if the encoding is unknown, if a row has more or fewer cells than the header, or
    if a quote is not closed.

    >>> read_csv_rows(Path("a.csv"), b"x;y\n1;2\n")
    (['x', 'y'], [(2, ['1', '2'])], 'semicolon-separated, UTF-8')
    """
    text, encoding = _decode(path, content)
    delimiter = _find_delimiter(text, wanted)
    how = f"{_DELIMITERS[delimiter]}-separated, {encoding}"
    with _long_cells():
        numbered = _read_rows(path, text, delimiter)
        _, header = next(numbered, (1, []))
        rows = [*numbered]
    for number, cells in rows:
        if len(cells) != len(header):
            raise UserError(
                f"{path}, line {number}: not as many fields as the header has ({len(cells)}, not {len(header)}; "
                f"{how}); put texts with delimiters into quotes"
            )
    return header, rows, how


def _decode(path: Path, content: bytes) -> tuple[str, str]:
    """Return the text and the name of its encoding."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), "")
    if not encoding and content.count(0) * 4 > len(content):
        encoding = "utf-16-le" if content[1:200:2].count(0) >= content[0:200:2].count(0) else "utf-16-be"
    try:
        return content.decode(encoding or "utf-8"), (encoding or "utf-8").upper().removesuffix("-SIG")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"{path}, line {line}: byte 0x{content[error.start]:02x} is not {(encoding or 'utf-8').upper()}"
        if encoding:
            raise UserError(f"{message}, but the file begins like it; save it as UTF-8") from error
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError:
            text = ""
        # In Western languages, letters with accents stand alone. In other languages, all letters are beyond ASCII.
        if not text or re.search(r"[^\x00-\x7f]{3}", text):
            raise UserError(
                f"{message}, and the text is of no Western language (Windows-1252); save it as UTF-8"
            ) from error
        return text, "Windows-1252 (not UTF-8)"


def _find_delimiter(text: str, wanted: Collection[str]) -> str:
    """Return the delimiter that gives the header most of the wanted columns, then the most columns."""
    header = next((line for line in re.split(r"\r\n|\r|\n", text, maxsplit=50) if line.strip()), "")[:_LONGEST_CELL]

    def names(delimiter: str) -> list[str]:
        try:
            return [name.strip().casefold() for name in next(csv.reader([header], delimiter=delimiter), [])]
        except csv.Error:
            return []

    return max(_DELIMITERS, key=lambda delimiter: (len({*wanted} & {*names(delimiter)}), len(names(delimiter))))


def _read_rows(path: Path, text: str, delimiter: str) -> Iterator[CsvRow]:
    """Yield the rows that are not blank, each with the number of the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first = 1
    try:
        for cells in reader:
            if cells:
                yield first, cells
            first = reader.line_num + 1
    except csv.Error as error:
        reason = {"unexpected end of data": "a quote that begins there is never closed"}.get(str(error), str(error))
        raise UserError(f"{path}, line {first}: {reason}; write a quote inside quotes twice") from error


@contextmanager
def _long_cells() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)

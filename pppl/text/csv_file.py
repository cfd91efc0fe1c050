"""CSV files of users, in every delimiter and encoding that spreadsheets write."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..system.errors import UserError
from ..system.printable import clip, printable

NEEDED, KNOWN = ("text", "label"), ("text", "text2", "label", "split")
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16: its mark begins with the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LONGEST_CELL = 10_000_000  # in characters


@dataclass(frozen=True, kw_only=True)
class CsvFile:
    """The rows of a CSV file.

    - `columns`: the known columns that the file has. Rows have these and no others.
    - `how`: the delimiter and the encoding, in words.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[dict[str, str]]
    how: str

    def notes(self) -> list[str]:
        """Return a line for each thing that may be a mistake: labels that are almost alike, and empty texts."""
        labels = sorted({row["label"] for row in self.rows})
        similar: dict[str, list[str]] = {}
        for label in labels:
            similar.setdefault(" ".join(label.split()).casefold(), []).append(label)
        notes = [
            f"{self.path}: labels {' and '.join(map(repr, names))} are alike but for spaces or case: they stay apart"
            for names in similar.values()
            if len(names) > 1
        ]
        empty = sum(not row["text"].strip() for row in self.rows)
        return notes + [f"{self.path}: {empty} of {len(self.rows)} texts are empty"] * bool(empty)


def read_csv_file(path: Path, content: bytes) -> CsvFile:
    """Return the rows of a CSV file. It has the columns `text` and `label`, and may have `text2` and `split`.

    Raise `UserError`, with the line, if the encoding is unknown, if a column is missing or there twice, if a row has
    more or fewer cells than the header, if a quote is not closed, or if a label is empty.
    """
    text, encoding = _decode(path, content)
    delimiter = _find_delimiter(text)
    how = f"{_DELIMITERS[delimiter]}-separated, {encoding}"
    with _long_cells():
        numbered = _read_rows(path, text, delimiter)
        _, header = next(numbered, (1, []))
        columns = [" ".join(name.split()).casefold() for name in header]
        _check_columns(path, header, columns, how)
        rows = []
        for number, cells in numbered:
            if len(cells) != len(header):
                raise UserError(
                    f"{path}, line {number}: not as many fields as the header has ({len(cells)}, not {len(header)}; "
                    f"{how}); put texts with delimiters into quotes"
                )
            row = {name: cell for name, cell in zip(columns, cells, strict=True) if name in KNOWN}
            if not row["label"].strip():
                raise UserError(f"{path}, line {number}: the label is empty; give one, or leave the row out")
            rows.append(row)
    known = tuple(name for name in KNOWN if name in columns)
    return CsvFile(path=path, columns=known, rows=rows, how=how)


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


def _find_delimiter(text: str) -> str:
    """Return the delimiter that gives the header most of the needed columns, then the most columns."""
    header = next((line for line in re.split(r"\r\n|\r|\n", text, maxsplit=50) if line.strip()), "")[:_LONGEST_CELL]

    def names(delimiter: str) -> list[str]:
        try:
            return [name.strip().casefold() for name in next(csv.reader([header], delimiter=delimiter), [])]
        except csv.Error:
            return []

    return max(_DELIMITERS, key=lambda delimiter: (len({*NEEDED} & {*names(delimiter)}), len(names(delimiter))))


def _read_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
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


def _check_columns(path: Path, header: Sequence[str], columns: Sequence[str], how: str) -> None:
    for column in NEEDED:
        if column not in columns:
            names = ", ".join(clip(name, 40) for name in sorted(header)) or "missing: the first line names them"
            raise UserError(f"{path} has no column {column!r}: its columns are {printable(names)[:400]} ({how})")
    repeated = next((name for name, count in Counter(columns).items() if count > 1 and name in KNOWN), None)
    if repeated is not None:
        raise UserError(f"{path} has two columns {repeated!r}: leave one of them out")


@contextmanager
def _long_cells() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)

"""CSV files of users: any delimiter and encoding that spreadsheets write, and what was read, told in a line."""

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
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LONGEST = 10_000_000  # characters of a cell


@dataclass(frozen=True, kw_only=True)
class CsvFile:
    """Rows of a file by the columns that are known; `how` tells delimiter and encoding."""

    path: Path
    columns: tuple[str, ...]
    rows: list[dict[str, str]]
    how: str

    def notes(self) -> list[str]:
        """Return what may be a slip, a line each."""
        labels = sorted({row["label"] for row in self.rows})
        alike: dict[str, list[str]] = {}
        for label in labels:
            alike.setdefault(" ".join(label.split()).casefold(), []).append(label)
        notes = [
            f"{self.path}: labels {' and '.join(map(repr, names))} are alike but for spaces or case: they stay apart"
            for names in alike.values()
            if len(names) > 1
        ]
        empty = sum(not row["text"].strip() for row in self.rows)
        return notes + [f"{self.path}: {empty} of {len(self.rows)} texts are empty"] * bool(empty)


def read_csv_file(path: Path, content: bytes) -> CsvFile:
    """Return the rows of a CSV file with the columns `text` and `label`, maybe `text2` and `split`.

    Raises `UserError`, with the line, where it is of no known encoding, a column is missing or there twice, a row has
    more or fewer cells than the header, a quote is not closed, or a label is empty.
    """
    text, encoding = _decoded(path, content)
    delimiter = _delimiter(text)
    how = f"{_DELIMITERS[delimiter]}-separated, {encoding}"
    with _long_cells():
        lines = _lines(path, text, delimiter)
        _, header = next(lines, (1, []))
        columns = [" ".join(name.split()).casefold() for name in header]
        _check(path, header, columns, how)
        rows = []
        for number, line in lines:
            if len(line) != len(header):
                raise UserError(
                    f"{path}, line {number}: not as many fields as the header has ({len(line)}, not {len(header)}; "
                    f"{how}); put texts with delimiters into quotes"
                )
            row = {name: cell for name, cell in zip(columns, line, strict=True) if name in KNOWN}
            if not row["label"].strip():
                raise UserError(f"{path}, line {number}: the label is empty; give one, or leave the row out")
            rows.append(row)
    known = tuple(name for name in KNOWN if name in columns)
    return CsvFile(path=path, columns=known, rows=rows, how=how)


def _decoded(path: Path, content: bytes) -> tuple[str, str]:
    """Return the text, and the name of its encoding."""
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "")
    if not marked and content.count(0) * 4 > len(content):
        marked = "utf-16-le" if content[1:200:2].count(0) >= content[0:200:2].count(0) else "utf-16-be"
    try:
        return content.decode(marked or "utf-8"), (marked or "utf-8").upper().removesuffix("-SIG")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = f"{path}, line {line}: byte 0x{content[error.start]:02x} is not {(marked or 'utf-8').upper()}"
        if marked:
            raise UserError(f"{wrong}, which the file begins like; save it as UTF-8") from error
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError:
            text = ""
        # Letters with accents stand alone in Western languages; in others all are beyond ASCII.
        if not text or re.search(r"[^\x00-\x7f]{3}", text):
            raise UserError(f"{wrong}, nor is it of a Western language; save it as UTF-8") from error
        return text, "Windows-1252 (not UTF-8)"


def _delimiter(text: str) -> str:
    """Return the delimiter that gives the header its columns, else the one that gives it most."""
    line = next((each for each in re.split(r"\r\n|\r|\n", text, maxsplit=50) if each.strip()), "")[:_LONGEST]

    def names(delimiter: str) -> list[str]:
        try:
            return [name.strip().casefold() for name in next(csv.reader([line], delimiter=delimiter), [])]
        except csv.Error:
            return []

    return max(_DELIMITERS, key=lambda each: (len({*NEEDED} & {*names(each)}), len(names(each))))


def _lines(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows that are not blank, with the line that each begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first = 1
    try:
        for line in reader:
            if line:
                yield first, line
            first = reader.line_num + 1
    except csv.Error as error:
        told = {"unexpected end of data": "a quote that begins there is never closed"}.get(str(error), str(error))
        raise UserError(f"{path}, line {first}: {told}; write a quote inside quotes twice") from error


def _check(path: Path, header: Sequence[str], columns: Sequence[str], how: str) -> None:
    for column in NEEDED:
        if column not in columns:
            named = ", ".join(clip(name, 40) for name in sorted(header)) or "missing: the first line names them"
            raise UserError(f"{path} has no column {column!r}: its columns are {printable(named)[:400]} ({how})")
    twice = next((name for name, count in Counter(columns).items() if count > 1 and name in KNOWN), None)
    if twice is not None:
        raise UserError(f"{path} has two columns {twice!r}: leave one of them out")


@contextmanager
def _long_cells() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)

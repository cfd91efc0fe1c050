"""Tables of texts that users bring: CSV files in every dialect, and Parquet files."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import TextColumns
from ..data.own.arrow_table import read_parquet
from ..data.own.csv_rows import read_csv_rows
from ..system.errors import UserError, unknown
from ..system.printable import clip, printable

TABLES = (".csv", ".tsv", ".parquet")
USUAL_COLUMNS = TextColumns()
_NEEDED = ("text", "label")


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """The rows of a table of texts.

    - `columns`: what is known of each row: `text` and `label`, and maybe `text2` and `split`. Rows have these keys and
      no others.
    - `how`: the delimiter and the encoding, or the kind of file, in words.
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


def read_text_csv(path: Path, content: bytes, names: TextColumns = USUAL_COLUMNS) -> TextTable:
    """Return the rows of a CSV file.

    **Arguments:**

    - `names`: what its columns are called.

    Raise `UserError`, with the line, as `read_csv_rows` does; and if a column is missing or there twice, or if a label
    is empty.
    """
    header, rows, how = read_csv_rows(path, content, [_plain(name) for name in (names.text, names.label)])
    places = (f"line {number}" for number, _ in rows)
    return _make_table(path, header, zip(places, (cells for _, cells in rows), strict=True), how, names)


def read_text_parquet(path: Path, names: TextColumns = USUAL_COLUMNS) -> TextTable:
    """Return the rows of a Parquet file, as `read_text_csv` does. A column of classes holds their names."""
    table = read_parquet(path)
    header = [*table.kinds]
    used = {_plain(name) for name in vars(names).values()}
    cells = [table.texts(name) if _plain(name) in used else [""] * len(table) for name in header]
    rows = ((f"row {number}", [*row]) for number, row in enumerate(zip(*cells, strict=True)))
    return _make_table(path, header, rows, "Parquet", names)


def _make_table(
    path: Path, header: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], how: str, names: TextColumns
) -> TextTable:
    columns = _find_columns(path, header, how, names)
    kept: list[dict[str, str]] = []
    for place, cells in rows:
        row = {key: cells[at] for key, at in columns.items()}
        if not row["label"].strip():
            raise UserError(f"{path}, {place}: the label is empty; give one, or leave the row out")
        kept.append(row)
    return TextTable(path=path, columns=tuple(columns), rows=kept, how=how)


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _find_columns(path: Path, header: Sequence[str], how: str, names: TextColumns) -> dict[str, int]:
    """Return the place of each column that the file has, by what it means.

    Raise `UserError` if one is missing that is needed or that settings name, or if one is there twice.
    """
    there = [_plain(name) for name in header]
    shown = printable(", ".join(clip(name, 40) for name in sorted(header)))[:400]
    found: dict[str, int] = {}
    for key, name in vars(names).items():
        if _plain(name) in there:
            found[key] = there.index(_plain(name))
        elif name != getattr(USUAL_COLUMNS, key):
            raise UserError(f"columns.{key}: {unknown(f'column of {path}', name, header)}")
        elif key in _NEEDED:
            columns = shown or "missing: the first line names them"
            raise UserError(
                f"{path} has no column {name!r}: its columns are {columns} ({how}); name the one that holds it in "
                f"columns.{key}"
            )
    counts = Counter(there)
    twice = next((header[at] for at in found.values() if counts[there[at]] > 1), None)
    if twice is not None:
        raise UserError(f"{path} has two columns {twice!r}: leave one of them out")
    return found

"""A table of a results folder: rows of text and numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from ..system.errors import UserError
from ..tables.schema import read_frame
from .columns import Column, column_of, numeric

TableRow = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows by the names of their columns; a number that is empty is NaN."""

    names: list[str]
    rows: list[dict[str, Any]]

    def distinct(self, name: str) -> list[Any]:
        """The values of a column, each once, in the order of rows."""
        return list(dict.fromkeys(row[name] for row in self.rows))

    def alike(self, row: TableRow, names: Iterable[str]) -> "Table":
        """The rows that have these values of `row`."""
        wanted = {name: row[name] for name in names}
        return Table(self.names, [each for each in self.rows if all(each[n] == v for n, v in wanted.items())])

    def with_columns(self, **columns: Sequence[Any]) -> "Table":
        """The same with columns added, each of a value for each row."""
        rows = [row | {name: of[at] for name, of in columns.items()} for at, row in enumerate(self.rows)]
        return Table([*self.names, *columns], rows)

    def column(self, name: str) -> Column:
        """What a column holds."""
        return column_of(name, self.names, numbers=all(isinstance(row[name], float) for row in self.rows))

    def columns(self) -> list[Column]:
        """All of them but ends of intervals, which stand beside their means."""
        ends = {f"{name}{end}" for name in self.names for end in ("_low", "_high")}
        return [self.column(name) for name in self.names if name not in ends]


EMPTY = Table([], [])


def read_rows(path: Path, names: Iterable[str] = (), numbers: Iterable[str] = (), *, only: bool = False) -> Table:
    """A table whose columns are numbers where their names or all their values say so, and else text.

    Raises `UserError` where it cannot be read.

    **Arguments:**

    - `names`, `numbers`: columns that must be there, the latter with a finite number in each row.
    - `only`: whether others are left out.
    """
    try:
        frame = read_frame(path)
    except OSError as error:
        verbs = "`pppl compare`, `pppl tasks` or `pppl sweep`"
        raise UserError(f"cannot read {path}: {error.strerror}; name a folder that {verbs} has written") from error
    except ValueError as error:
        raise _corrupted(path, str(error)) from error
    header = [*frame.columns]
    lacking = next((name for name in [*names, *numbers] if name not in header), None)
    if lacking is not None:
        raise _corrupted(path, f"it has no column {lacking!r}")
    kept = [name for name in header if not only or name in {*names, *numbers}]
    columns = {name: _values(path, name, cast(pd.Series, frame[name])) for name in kept}
    wrong = next((name for name in numbers if not all(map(_is_finite, columns[name]))), None)
    if wrong is not None:
        raise _corrupted(path, f"column {wrong!r} holds something that is no number")
    rows = [dict(zip(kept, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return Table(kept, rows)


def _values(path: Path, name: str, column: pd.Series) -> list[Any]:
    """Return numbers as float, and anything else as text."""
    wanted = numeric(name)
    if column.dtype.kind in "if" and wanted is not False:
        return column.astype(float).tolist()
    if wanted and column.notna().any():
        raise _corrupted(path, f"column {name!r} holds something that is no number")
    return [math.nan] * len(column) if wanted else column.astype(object).where(column.notna(), "").map(str).tolist()


def _is_finite(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _corrupted(path: Path, how: str) -> UserError:
    verb = "sweep" if path.name in ("trials.csv", "importances.csv") else "compare"
    remedy = f"run `pppl {verb}` with the same --out again, it rewrites the tables from its journal"
    return UserError(f"{path} is corrupted ({' '.join(how.split())}); {remedy}")

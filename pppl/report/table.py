"""Tables of a results folder as rows of text and numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from ..system.errors import UserError
from ..tables.metric import ACCURACY, Metric, metric_of
from ..tables.schema import load_frame, rewriting
from .columns import Column, column_of, numeric

TableRow = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows by the names of their columns; an empty number is NaN.

    >>> table = Table(["method", "n"], [{"method": "l1", "n": 3.0}, {"method": "ppp", "n": 3.0}])
    >>> table.distinct("n"), table.alike({"method": "ppp"}, ["method"]).rows
    ([3.0], [{'method': 'ppp', 'n': 3.0}])
    """

    names: list[str]
    rows: list[dict[str, Any]]

    def distinct(self, name: str) -> list[Any]:
        """Return the values of a column, each once, in the order of rows."""
        return list(dict.fromkeys(row[name] for row in self.rows))

    def alike(self, row: TableRow, names: Iterable[str]) -> "Table":
        """Return the rows that have the same values as `row` in the columns `names`."""
        wanted = {name: row[name] for name in names}
        return Table(self.names, [each for each in self.rows if all(each[n] == v for n, v in wanted.items())])

    def with_columns(self, **columns: Sequence[Any]) -> "Table":
        """Return the table with columns added; each has one value for each row."""
        rows = [row | {name: of[at] for name, of in columns.items()} for at, row in enumerate(self.rows)]
        return Table([*self.names, *columns], rows)

    def column(self, name: str) -> Column:
        """Return the description of a column."""
        numbers = all(isinstance(row[name], float) for row in self.rows)
        return column_of(name, self.names, numbers=numbers, metric=self.metric)

    @property
    def metric(self) -> Metric:
        """The metric of the rows."""
        return metric_of(self.rows[0]) if self.rows else ACCURACY

    def columns(self) -> list[Column]:
        """Return all columns except ends of intervals, which are shown with their means."""
        ends = {f"{name}{end}" for name in self.names for end in ("_low", "_high")}
        return [self.column(name) for name in self.names if name not in ends]


EMPTY = Table([], [])


def read_rows(path: Path, names: Iterable[str] = (), numbers: Iterable[str] = (), *, only: bool = False) -> Table:
    """Read a table. A column holds numbers if its name or all its values say so, else text.

    Raise `UserError` if the table cannot be read, or lacks a column or a number.

    **Arguments:**

    - `names`, `numbers`: columns that must exist; those in `numbers` must hold a finite number in each row.
    - `only`: whether other columns are left out.
    """
    return rows_of(load_frame(path), path, names, numbers, only=only)


def rows_of(
    frame: pd.DataFrame, path: Path, names: Iterable[str] = (), numbers: Iterable[str] = (), *, only: bool = False
) -> Table:
    """Return a frame as a table. Arguments and errors are those of `read_rows`.

    - `path`: the file that messages name.
    """
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
    """Return the values of a column: numbers as float, anything else as text."""
    wanted = numeric(name)
    if column.dtype.kind in "if" and wanted is not False:
        return column.astype(float).tolist()
    if wanted and column.notna().any():
        raise _corrupted(path, f"column {name!r} holds something that is no number")
    if wanted:
        return [math.nan] * len(column)
    return ["" if missing else str(value) for value, missing in zip(column.tolist(), column.isna(), strict=True)]


def _is_finite(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _corrupted(path: Path, how: str) -> UserError:
    return UserError(f"{path} is corrupted ({' '.join(how.split())}); {rewriting(path)}")

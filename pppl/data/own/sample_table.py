"""Tables of samples: their columns by name, whatever file they come from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ...system.errors import UserError
from ...system.printable import clip
from ..stored_file import AnyFile
from .csv_rows import read_csv_rows

ColumnKind = Literal["number", "text", "class", "array", "image", "audio", "other"]


class SampleTable(ABC):
    """A table whose rows are samples or time steps of samples.

    - `where`: its file, for messages.
    - `kinds`: what each column holds, by name: `class` is a class with a known list of names, `array` a list of
      numbers in each row.
    """

    where: str
    kinds: Mapping[str, ColumnKind]

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def place(self, row: int) -> str:
        """Return what messages call a row."""

    @abstractmethod
    def texts(self, name: str) -> list[str]:
        """Return the cells of a column as texts, empty where there is none."""

    @abstractmethod
    def numbers(self, name: str) -> np.ndarray:
        """Return the numbers of a column, `(n,)` or, of arrays, `(n, ...)`.

        Raise `UserError` if there are others, or if arrays differ in shape.
        """

    def files(self, name: str) -> list[AnyFile]:
        """Return the images or recordings of a column."""
        raise UserError(f"{self.where}: {name} holds no files: name another column in data.columns.values")

    def class_names(self, name: str) -> Sequence[str]:
        """Return the names of the classes in a column in their order; empty if they follow from the cells."""
        return ()


class CsvTable(SampleTable):
    """A CSV file.

    **Arguments:**

    - `wanted`: names of columns that it should have, by which its delimiter is found.

    Raise `UserError` as `read_csv_rows` does, if a name stands above two columns, or if there are no rows.
    """

    def __init__(self, path: Path, wanted: Sequence[str] = ()):
        self.where = str(path)
        header, rows, self.how = read_csv_rows(path, read_bytes(path), [name.casefold() for name in wanted])
        names = [name.strip() for name in header]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise UserError(f"{path} has two columns {twice!r}: rename or leave out one of them")
        if not rows:
            raise UserError(f"{path} has no rows below its header: give one for each sample")
        self._lines = [number for number, _ in rows]
        self._cells = dict(zip(names, map(list, zip(*(cells for _, cells in rows), strict=True)), strict=True))
        self._comma = not self.how.startswith("comma")  # else a comma in a cell may separate thousands
        self.kinds = {
            name: "number" if all(map(self._is_number, cells)) else "text" for name, cells in self._cells.items()
        }
        numbers = [self._cells[name] for name, kind in self.kinds.items() if kind == "number" and self._comma]
        if shown := next((cell.strip() for cells in numbers for cell in cells if "," in cell), ""):
            self.how += f", with decimal commas ({shown} is read as {_number(shown, comma=True):g})"

    def _is_number(self, cell: str) -> bool:
        try:
            _number(cell, comma=self._comma)
        except ValueError:
            return False
        return True

    def __len__(self) -> int:
        return len(self._lines)

    def place(self, row: int) -> str:
        """Return the file and the line of a row."""
        return f"{self.where}, line {self._lines[row]}"

    def texts(self, name: str) -> list[str]:
        """Return the cells of a column without the spaces around them."""
        return [cell.strip() for cell in self._cells[name]]

    def numbers(self, name: str) -> np.ndarray:
        """Return the numbers of a column, `(n,)` float64."""
        cells = self._cells[name]
        if self.kinds[name] == "number":
            numbers = np.array([_number(cell, comma=self._comma) for cell in cells])
            bad = np.flatnonzero(~np.isfinite(numbers)).tolist()
        else:
            numbers, bad = np.empty(0), [row for row, cell in enumerate(cells) if not self._is_number(cell)]
        if bad:
            more = f" ({len(bad) - 1:,} more cells are none)" if len(bad) > 1 else ""
            shown = clip(repr(cells[bad[0]].strip()), 40)
            raise UserError(f"{self.place(bad[0])}: {name} is {shown}, which is no finite number{more}: correct it")
        return numbers


def read_bytes(path: Path, remedy: str = "check the name of the file") -> bytes:
    """Return the content of a user's file. Raise `UserError` if it cannot be read; the remedy is for a missing one."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there: {remedy}") from error
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        raise UserError(f"cannot read {path}: {error}") from error


def _number(cell: str, *, comma: bool) -> float:
    """Return the number in a cell, with a decimal point or, if `comma`, a decimal comma; NaN if the cell is empty."""
    return float((cell.replace(",", ".") if comma else cell).strip() or "nan")

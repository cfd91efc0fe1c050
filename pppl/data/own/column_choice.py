"""The choice of a table's columns: those that settings name, and others only where one alone can be meant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...config import ColumnSettings
from ...system.errors import UserError, unknown
from ...system.printable import clip
from .sample_table import ColumnKind, SampleTable

# Names by which a column is known, in lower case and without `_id`.
_USUAL = {
    "label": ("label", "class", "category", "target"),
    "person": ("person", "subject", "user", "speaker", "writer", "participant"),
    "sample": ("sample", "window"),
    "recording": ("recording",),
    "split": ("split",),
}
# Columns of numbers that number or date the rows, and so are values only if settings name them.
_COUNTERS = ("", "id", "index", "time", "timestamp", "t", "step", "frame", "row", "unnamed: 0", "__index_level_0__")


@dataclass(frozen=True, kw_only=True)
class ChosenColumns:
    """The columns that are read, by what they mean; empty if there is none.

    - `values`: the columns of values, of one `kind`.
    """

    values: tuple[str, ...]
    kind: ColumnKind
    label: str
    person: str
    sample: str
    recording: str
    split: str

    def single(self) -> dict[str, str]:
        """Return the columns that have one value in a row, by what they mean, without those that are not there."""
        return {key: value for key, value in vars(self).items() if key in _USUAL and value}


def choose_columns(table: SampleTable, given: ColumnSettings) -> ChosenColumns:
    """Return the columns that settings name, and the others if one alone can be meant.

    A class is meant by its type or by a usual name, a person, sample, recording or split by a usual name. Values are
    the only images, recordings or arrays, or else all other numbers but those that count or date the rows.

    Raise `UserError` if there is no such column, or if the class or the values cannot be told.
    """
    single = {key: find_column(table, name, key) if name else "" for key, name in given.single().items()}
    values: tuple[str, ...] = tuple(find_column(table, name, "values") for name in given.values)
    for key, usual in _USUAL.items():
        free = [name for name in table.kinds if name not in (*values, *single.values())]
        single[key] = single[key] or _guess(table, free, key, usual)
    if not single["label"]:
        raise _ask(table, "label", "which column is the class", table.kinds)
    if not values:
        values = _guess_values(table, [name for name in table.kinds if name not in single.values()])
    # Texts among numbers are reported with their line as they are read.
    kinds: dict[str, ColumnKind] = {
        each: "number" if table.kinds[each] == "text" else table.kinds[each] for each in values
    }
    first, *_ = values
    kind = kinds[first]
    for name in values:
        if kinds[name] not in ("number", "array", "image", "audio"):
            raise UserError(f"{table.where}: {name} holds no values: name other columns in data.columns.values")
    if len({*kinds.values()}) > 1 or (kind in ("image", "audio") and len(values) > 1):
        told = ", ".join(f"{name} ({kinds[name]})" for name in values)
        raise UserError(f"{table.where}: data.columns.values mixes {told}: name columns of numbers, or one of files")
    if single["sample"] and kind != "number":
        raise UserError(f"{table.where}: each row of {first} is a whole sample: leave data.columns.sample out")
    return ChosenColumns(values=values, kind=kind, **single)


def find_column(table: SampleTable, name: str, key: str) -> str:
    """Return the column of a name that a setting gives. Case counts only if two columns differ by it alone.

    Raise `UserError` with the nearest name if there is none.
    """
    alike = [each for each in table.kinds if each.casefold() == name.strip().casefold()]
    if name in table.kinds or len(alike) == 1:
        return name if name in table.kinds else alike[0]
    raise UserError(f"data.columns.{key}: {unknown(f'column of {table.where}', name, table.kinds)}")


def _guess(table: SampleTable, free: Sequence[str], key: str, usual: Sequence[str]) -> str:
    """Return the one column that can be meant; empty if there is none, or if it is no class and there are several."""
    found = [name for name in free if name.casefold().replace(" ", "_").removesuffix("_id") in usual]
    if key == "label" and not found:
        found = [name for name in free if table.kinds[name] == "class"]
    if key == "label" and len(found) > 1:
        raise _ask(table, key, "which column is the class", found)
    return found[0] if len(found) == 1 else ""


def _guess_values(table: SampleTable, free: Sequence[str]) -> tuple[str, ...]:
    files = [name for name in free if table.kinds[name] in ("image", "audio")]
    arrays = [name for name in free if table.kinds[name] == "array"]
    numbers = [name for name in free if table.kinds[name] == "number" and name.casefold() not in _COUNTERS]
    for found in (files, arrays):
        if len(found) == 1:
            return (found[0],)
        if found:
            raise _ask(table, "values", "which columns are the values", found)
    if not numbers:
        raise _ask(table, "values", "which columns are the values", table.kinds)
    return tuple(numbers)


def _ask(table: SampleTable, key: str, question: str, names: Iterable[str]) -> UserError:
    shown = [clip(name, 40) for name in names]
    example = f"'[{shown[0]}]'" if key == "values" else shown[0]
    set_it = f"Set data.columns.{key}, as by --data.columns.{key} {example}"
    return UserError(f"{table.where}: {question}? {set_it}; there are {', '.join(shown)[:400]}")

"""The columns of all tables, each declared once, and the one reader and writer of tables."""

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ..system.errors import UserError
from ..system.files import claim, remove, replacing
from ..system.printable import NUMBER, TRUTH


@dataclass(frozen=True)
class ColumnType:
    """The declaration of a column.

    - `kind`: `text` (`NA`, `007` and `1e3` are names there, and an empty cell is an empty name), `flag` (True or
      False), or `number` (an empty cell is NaN); `<name>_low` and `<name>_high` are numbers, too.
    - `title`: for people, without its unit; `{metric}`, `{one}` and `{three}` stand for the metric and its steps. Empty
      if the name itself is shown.
    - `unit`: how numbers are shown: in the `metric`, its `points`, `percent`, `kilobytes`, ...
    - `head`: a shorter title for notebooks, where the column is one of the main ones.
    """

    name: str
    kind: Literal["text", "flag", "number"]
    title: str = ""
    unit: str = "number"
    head: str = ""


def _of_kind(kind: Literal["text", "flag", "number"], *columns: tuple[str, ...]) -> dict[str, ColumnType]:
    return {name: ColumnType(name, kind, *more) for name, *more in columns}


COLUMN_TYPES: dict[str, ColumnType] = {
    **_of_kind(
        "text",
        ("dataset", "Data", "text", "data"),
        ("backbone", "Backbone", "text", "backbone"),
        ("task", "Task", "text", "task"),
        ("persons", "Persons", "text", "persons"),
        ("method", "Method", "text", "method"),
        ("control", "Control", "text", "control"),
        ("against", "Against", "text", "against"),
        ("identity", "Person", "text"),
        ("metric", "Metric", "text"),
        ("settings", "Settings", "text"),
        ("encoder", "Encoder", "text"),
        ("key", "Setting", "text", "setting"),
        ("state", "State", "text"),
        ("reference", "", "text", "reference"),
        *((name, "", "text") for name in ("question", "folder", "kind", "row", "name")),
    ),
    **_of_kind(
        "flag",
        ("seen", "Seen in training", "text", "seen"),
        ("feasible", "Constraints kept", "text"),
        ("best", "Best", "text"),
        ("pareto", "On the front", "text"),
        ("chosen", "Chosen", "text"),
        ("trained_for_all", "Trained for all", "text"),
    ),
    **_of_kind(
        "number",
        ("budget", "Budget", "budget", "budget"),
        ("score", "{metric}", "metric", "{metric}"),
        ("score_full", "Full network", "metric"),
        ("score_against", "{metric} against", "number"),
        ("score_at_end", "Score at the end", "metric"),
        ("area", "Area", "metric", "area"),
        ("gain", "Gain", "points", "gain"),
        ("reference_minus_this", "Reference less this", "points", "reference's lead"),
        ("reference_gain_minus_this", "Reference's gain less this", "points"),
        ("own_minus_other", "Own less other", "points"),
        ("minus_full", "Less full", "points", "less full"),
        ("minus_diff", "Less diff pruning", "points"),
        ("difference",),
        ("macs_within_1", "MACs within {one}", "percent", "MACs within {one}"),
        ("macs_within_3", "MACs within {three}", "percent", "MACs within {three}"),
        ("importance", "Importance", "percent", "importance"),
        ("macs_fraction", "MACs", "percent", "MACs"),
        ("params_fraction", "Parameters", "percent"),
        ("wilcoxon_p", "p", "p"),
        ("holm_p", "p (Holm)", "p", "p (Holm)"),
        ("holm_tests", "Tests in the family", "count"),
        ("n", "n", "count", "n"),
        ("people", "People", "count"),
        ("retrain_samples", "Samples of the person trained on", "count", "retrained on (samples)"),
        ("train_samples", "Samples trained on for all", "count", "trained for all on (samples)"),
        ("samples", "Samples seen", "count"),
        ("labels", "Labels", "count"),
        ("device_steps", "Steps on the device", "count"),
        ("settings_tried", "Settings tried", "count"),
        ("values", "Values", "count"),
        ("budgets", "Budgets", "count"),
        ("trials", "Trials", "count"),
        ("trial", "Trial", "count"),
        ("step", "Step", "count"),
        ("seed", "Seed", "count"),
        ("peak_memory_mib", "Peak (MiB)", "count"),
        ("artifact_bytes", "File", "kilobytes", "kB"),
        ("task_bytes", "Task", "kilobytes", "kB"),
        ("stored_bytes", "Stored", "kilobytes"),
        ("copies_bytes", "Whole copies", "kilobytes"),
        ("rate", "Rate"),
        ("seconds", "Seconds"),
        ("train_seconds", "Training (s)"),
        ("personalize_seconds", "Seconds"),
        *((name,) for name in ("shots", "macs", "params", "queries", "learning_rate", "tried", "validation")),
        *((name,) for name in ("layer", "channel", "probability")),
    ),
}
TEXTS = frozenset(name for name, column in COLUMN_TYPES.items() if column.kind == "text")
# What older tables and journals call a column, and what it is called today.
_RENAMED = {
    f"accuracy{end}": f"score{end}" for end in ("", "_low", "_high", "_full", "_full_low", "_full_high", "_against")
}
# What rows of earlier versions were all about.
EARLIER = {"task": "classification", "metric": "accuracy"}
_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
ODD_BYTES = "surrogateescape"  # names of files may hold bytes that are no text
GZIP = ".gz"
_NOTES = ("budget",)  # numbers that may be text: "any" in notes


def column_type(name: str) -> ColumnType | None:
    """Return the declaration of a column or of the column whose interval it ends; None if there is none.

    >>> column_type("gain_low").title
    'Gain'
    """
    for end in ("_low", "_high"):
        name = name.removesuffix(end)
    return COLUMN_TYPES.get(name)


def read_frame(path: Path, rows: int | None = None) -> pd.DataFrame:
    """Return a table that this package has written, also of an earlier version, whose columns are renamed.

    Columns that are not declared hold numbers or truth values if all of their cells are such, else text, NaN where it
    is empty. A name that ends in `.gz` is read compressed; without such a file, the plain one beside it is read.

    **Arguments:**

    - `rows`: how many are read, all by default.

    Raise `OSError` if there is no such file, `ValueError`, with the reason, if it is no such table.
    """
    header, *lines = _lines(existing(path), rows)
    renamed = {_RENAMED[name] for name in header if name in _RENAMED}
    header = [_RENAMED.get(name, name) for name in header]
    twice = next((name for at, name in enumerate(header) if name in header[:at]), None)
    if twice is not None:
        raise ValueError(f"it has two columns {twice!r}")
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            raise ValueError(f"row {number} has {len(line)} cells, the header {len(header)}")
    cells = zip(*lines, strict=True) if lines else [()] * len(header)
    columns = {name: _column(name, each) for name, each in zip(header, cells, strict=True)}
    frame = pd.DataFrame(columns, columns=header)
    return with_task(frame) if "score" in renamed else frame


def load_frame(path: Path, remedy: str = "") -> pd.DataFrame:
    """Return `read_frame`'s table of a results folder.

    Raise `UserError` if it is missing or corrupted.

    >>> load_frame(Path("results/digits/table.csv.gz"))  # doctest: +SKIP

    **Arguments:**

    - `remedy`: what to do about a corrupted table; by default to run the command that writes it.
    """
    try:
        return read_frame(path)
    except OSError as error:
        verbs = "`pppl compare`, `pppl tasks` or `pppl sweep`"
        raise UserError(f"cannot read {path}: {error.strerror}; name a folder that {verbs} has written") from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is corrupted ({reason}); {remedy or rewriting(path)}") from error


def rewriting(path: Path) -> str:
    """Return the remedy for a corrupted table: the command that writes it anew."""
    verb = "sweep" if path.name in ("trials.csv", "importances.csv") else "compare"
    return f"run `pppl {verb}` with the same --out again, it rewrites the tables from its journal"


def with_task(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table of an earlier version with the columns `task` and `metric`, which were always the same."""
    frame = frame.copy()
    if "identity" in frame.columns and "task" not in frame.columns:
        frame.insert(frame.columns.tolist().index("backbone") + 1, "task", EARLIER["task"])
    if "metric" not in frame.columns:
        columns = frame.columns.tolist()
        frame.insert(columns.index("n" if "n" in columns else "score"), "metric", EARLIER["metric"])
    return frame


def current_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of persons as today's columns have it, also one of an earlier version.

    >>> current_row({"accuracy": 0.5, "shots": 5})
    {'score': 0.5, 'shots': 5, 'task': 'classification', 'metric': 'accuracy'}
    """
    if "accuracy" not in row:
        return dict(row)
    return {_RENAMED.get(name, name): value for name, value in row.items()} | EARLIER


def existing(path: Path) -> Path:
    """Return the file of a table: `path`, or the plain file beside a compressed one that does not exist.

    >>> existing(Path("nowhere/table.csv.gz")).name
    'table.csv.gz'
    """
    plain = path.with_suffix("")
    return plain if path.suffix == GZIP and not path.exists() and plain.exists() else path


def _lines(path: Path, rows: int | None) -> list[list[str]]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == GZIP else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(str(error)) from error
    file = io.StringIO(data.decode("utf-8", ODD_BYTES), newline="")
    try:
        lines = list(islice(csv.reader(file, strict=True), None if rows is None else rows + 1))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if not lines or not lines[0]:
        raise ValueError("it has no header")
    return lines


def _column(name: str, cells: Sequence[str]) -> pd.Series:
    kind = COLUMN_TYPES[name].kind if name in COLUMN_TYPES else ""
    if kind == "text":
        return pd.Series(cells, dtype=str)
    given = {cell for cell in cells if cell}
    if given and given <= TRUTH.keys() and "" not in cells and kind != "number":
        return pd.Series([TRUTH[cell] for cell in cells])
    if kind == "flag" and given:
        raise ValueError(f"column {name!r} holds something other than True and False")
    if all(map(_INTEGER.match, cells)):
        return pd.Series([int(cell) for cell in cells], dtype=None if cells else float)
    if all(map(NUMBER.match, given)):
        return pd.Series([float(cell) if cell else math.nan for cell in cells], dtype=float)
    declared = column_type(name)
    if declared is not None and declared.kind == "number" and name not in _NOTES:
        raise ValueError(f"column {name!r} holds something that is no number")
    return pd.Series([cell or None for cell in cells], dtype=str)


def csv_text(frame: pd.DataFrame) -> str:
    """Return a table as `read_frame` gives it back."""
    # The writer puts cells into quotes that hold a character of its line end, and "\r" ends a line for readers, too.
    return frame.to_csv(index=False, lineterminator=_LINE_END).replace(_LINE_END, "\n")


def write_csv(path: Path, text: str) -> None:
    """Write a table, atomically; `text` is that of `csv_text`.

    A name that ends in `.gz` is written compressed, the same text always as the same bytes; the plain file beside it,
    of an earlier version, is removed.
    """
    data = text.encode("utf-8", ODD_BYTES)
    if path.suffix == GZIP:
        claim([path.with_suffix("")])  # before the new file is there, since this may fail
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(data, mtime=0) if path.suffix == GZIP else data)
    if path.suffix == GZIP:
        remove(path.with_suffix(""))


_LINE_END = "\r\n\r\r\n\n"


def with_names(frame: pd.DataFrame, names: Iterable[str] = TEXTS) -> pd.DataFrame:
    """Return a frame whose names are text, also where `pandas.read_csv` took an empty one for a missing number."""
    lacking = [name for name in names if name in frame.columns and frame[name].isna().to_numpy().any()]
    return frame.assign(**{name: frame[name].astype(object).fillna("").astype(str) for name in lacking})


def settings_of(columns: Iterable[str]) -> list[str]:
    """Return the columns of `trials.csv` that hold what was tried: those behind `seconds`."""
    names = [*map(str, columns)]
    return names[names.index("seconds") + 1 :]

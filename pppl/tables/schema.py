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
from ..system.files import claim, expand, remove, replacing
from ..system.printable import NUMBER, TRUTH
from .provenance import read_run


@dataclass(frozen=True)
class ColumnType:
    """The declaration of a column.

    - `kind`: `text` (`NA`, `007` and `1e3` are text, and an empty cell is empty text), `flag` (True or False), or
      `number` (an empty cell is NaN). `<name>_low` and `<name>_high` are numbers, too.
    - `title`: the title for people, without its unit. `{metric}`, `{one}` and `{three}` stand for the metric and its
      steps. If it is empty, the name is shown.
    - `unit`: how numbers are shown: in the `metric`, its `points`, `percent`, `kilobytes`, ...
    - `head`: a shorter title for notebooks, if the column is one of the main ones.
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
        *((name, "", "text") for name in ("question", "folder", "run", "kind", "row", "name", "tells")),
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
        ("reference_minus_this", "Reference less this", "points", "reference less this"),
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
        ("retrain_samples", "Passes of the person's samples", "count", "passes of own samples"),
        ("train_samples", "Passes of samples for all", "count", "passes of samples for all"),
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
        *((name,) for name in ("layer", "channel", "probability", "chance", "among")),
    ),
}
TEXTS = frozenset(name for name, column in COLUMN_TYPES.items() if column.kind == "text")
# Names of columns in older tables and journals, with their names today.
_RENAMED = {
    f"accuracy{end}": f"score{end}" for end in ("", "_low", "_high", "_full", "_full_low", "_full_high", "_against")
}
# The task and the metric of all rows of earlier versions.
EARLIER = {"task": "classification", "metric": "accuracy"}
_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
ODD_BYTES = "surrogateescape"  # names of files may hold bytes that are not text
# Else pandas keeps text as pyarrow does, where that is installed, and this form cannot hold such bytes.
pd.set_option("mode.string_storage", "python")
GZIP = ".gz"
_LINE_END = "\r\n\r\r\n\n"
_NOTES = ("budget",)  # columns of numbers that may hold text, such as "any"


def column_type(name: str) -> ColumnType | None:
    """Return the declaration of a column, also for the ends of its interval. Return None if there is none.

    >>> column_type("gain_low").title
    'Gain'
    """
    for end in ("_low", "_high"):
        name = name.removesuffix(end)
    return COLUMN_TYPES.get(name)


def read_frame(path: Path, rows: int | None = None) -> pd.DataFrame:
    """Return a table that this package has written. Columns of earlier versions are renamed.

    An undeclared column holds numbers or truth values if all its cells do, else text, with NaN for empty cells. A name
    that ends in `.gz` is read compressed. Without such a file, the plain one beside it is read.

    **Arguments:**

    - `rows`: the number of rows to read, all by default.

    Raise `OSError` if the file cannot be read, and `ValueError`, with the reason, if it is not such a table.
    """
    header, *lines = _lines(existing(path), rows)
    renamed = {_RENAMED[name] for name in header if name in _RENAMED}
    header = [_RENAMED.get(name, name) for name in header]
    repeated = next((name for at, name in enumerate(header) if name in header[:at]), None)
    if repeated is not None:
        raise ValueError(f"it has two columns {repeated!r}")
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            raise ValueError(f"row {number} has {len(line)} cells, the header {len(header)}")
    cells = zip(*lines, strict=True) if lines else [()] * len(header)
    columns = {name: _column(name, each) for name, each in zip(header, cells, strict=True)}
    frame = pd.DataFrame(columns, columns=header)
    return with_task(frame) if "score" in renamed else frame


def load_frame(path: str | Path, remedy: str = "") -> pd.DataFrame:
    """Return a table in the form of `read_frame`. Raise `UserError` if it is missing or corrupted.

    >>> load_frame("results/digits/table.csv.gz")  # doctest: +SKIP

    **Arguments:**

    - `remedy`: the remedy for a corrupted table, by default to run the command that writes it.
    """
    path = expand(path)
    try:
        return read_frame(path)
    except OSError as error:
        verbs = "`pppl compare`, `pppl tasks` or `pppl sweep`"
        raise UserError(f"cannot read {path}: {error.strerror}; name a folder that {verbs} has written") from error
    except ValueError as error:
        raise UserError(f"{path} is corrupted ({' '.join(str(error).split())}); {remedy or rewriting(path)}") from error


def rewriting(path: Path) -> str:
    """Return the remedy for a corrupted table: the command that writes it anew."""
    config = read_run(path.parent).get("config")
    verb = "tasks" if isinstance(config, dict) and "tasks" in config else "compare"
    verb = "sweep" if path.name in ("trials.csv", "importances.csv") else verb
    return f"run `pppl {verb}` with the same --out again, which rewrites the tables from its journal"


def with_task(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table of an earlier version with the columns `task` and `metric`, which had only one value then."""
    frame = frame.copy()
    if "identity" in frame.columns and "task" not in frame.columns:
        frame.insert(frame.columns.tolist().index("backbone") + 1, "task", EARLIER["task"])
    if "metric" not in frame.columns:
        frame.insert([*frame.columns].index("n" if "n" in frame.columns else "score"), "metric", EARLIER["metric"])
    return frame


def current_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of persons with the columns of today, also if it is from an earlier version.

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
    filled = {cell for cell in cells if cell}
    if filled and filled <= TRUTH.keys() and "" not in cells and kind != "number":
        return pd.Series([TRUTH[cell] for cell in cells])
    if kind == "flag" and filled:
        raise ValueError(f"column {name!r} holds a value other than True and False")
    if all(map(_INTEGER.match, cells)):
        return pd.Series([int(cell) for cell in cells], dtype=None if cells else float)
    if all(map(NUMBER.match, filled)):
        return pd.Series([float(cell) if cell else math.nan for cell in cells], dtype=float)
    declared = column_type(name)
    if declared is not None and declared.kind == "number" and name not in _NOTES:
        raise ValueError(f"column {name!r} holds something that is no number")
    return pd.Series([cell or None for cell in cells], dtype=str)


def csv_text(frame: pd.DataFrame) -> str:
    """Return a table as CSV text that `read_frame` reads back."""
    # Cells that hold a character of the line end are quoted; "\r" must be one of them, since readers end lines there.
    return frame.to_csv(index=False, lineterminator=_LINE_END).replace(_LINE_END, "\n")


def write_csv(path: Path, text: str) -> None:
    """Write the `text` of a table, as `csv_text` returns it, atomically.

    A name that ends in `.gz` is written compressed, and equal text gives equal bytes. The plain file beside it, from an
    earlier version, is removed.
    """
    data = text.encode("utf-8", ODD_BYTES)
    plain = [path.with_suffix("")] if path.suffix == GZIP else []
    claim(plain)  # before the new file is there, since this may fail
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(data, mtime=0) if path.suffix == GZIP else data)
    for each in plain:
        remove(each)


def with_names(frame: pd.DataFrame, names: Iterable[str] = TEXTS) -> pd.DataFrame:
    """Return a frame whose names are text, also if `pandas.read_csv` took an empty name for a missing number."""
    lacking = [name for name in names if name in frame.columns and frame[name].isna().to_numpy().any()]
    return frame.assign(**{name: frame[name].astype(object).fillna("").astype(str) for name in lacking})


def settings_of(columns: Iterable[str]) -> list[str]:
    """Return the columns of `trials.csv` that hold the values of a trial: those after `seconds`."""
    names = [*map(str, columns)]
    return names[names.index("seconds") + 1 :]

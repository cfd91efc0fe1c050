"""What the columns of tables hold, and the one way to read them: names stay text, however they look."""

import csv
import math
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd

from ..system.files import replacing
from ..system.printable import NUMBER, TRUTH

# Columns of names: `NA`, `007` and `1e3` are names there, and an empty cell is an empty name.
TEXTS = frozenset(
    (
        *(
            "dataset",
            "backbone",
            "persons",
            "method",
            "control",
            "identity",
            "against",
            "settings",
            "reference",
            "question",
        ),
        *("task", "encoder", "metric", "key", "state", "folder", "kind", "row", "name"),
    )
)
# Columns of True and False.
FLAGS = frozenset(("seen", "feasible", "best", "pareto", "chosen", "trained_for_all"))
# Columns of numbers, also with `_low` or `_high` behind; an empty cell is NaN. (A budget may be "any" in notes.)
NUMBERS = frozenset(
    (
        *("seed", "shots", "n", "people", "accuracy", "accuracy_full", "macs", "macs_fraction", "params"),
        *(
            "params_fraction",
            "artifact_bytes",
            "retrain_samples",
            "train_samples",
            "queries",
            "personalize_seconds",
            "area",
        ),
        *(
            "reference_minus_this",
            "difference",
            "accuracy_against",
            "minus_full",
            "minus_diff",
            "wilcoxon_p",
            "holm_p",
            "holm_tests",
            "gain",
        ),
        *(
            "reference_gain_minus_this",
            "macs_within_1",
            "macs_within_3",
            "budgets",
            "own_minus_other",
            "importance",
            "trials",
            "trial",
            "seconds",
        ),
        *("score", "score_at_end", "rate", "learning_rate", "tried", "validation", "values", "task_bytes"),
        *("peak_memory_mib", "train_seconds", "step", "stored_bytes", "copies_bytes", "samples", "labels"),
        *("device_steps", "settings_tried", "layer", "channel", "probability"),
    )
)
_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
ODD_BYTES = "surrogateescape"  # names of files may hold bytes that are no text


def read_frame(path: Path, rows: int | None = None) -> pd.DataFrame:
    """Return a table that this package has written.

    `TEXTS` are text, `FLAGS` truth values, `NUMBERS` numbers, NaN where a cell is empty. Any other column holds numbers
    or truth values, where all of its cells are such, else text, NaN where it is empty.

    **Arguments:**

    - `rows`: how many are read, all by default.

    Raises `OSError` where there is no such file, `ValueError`, with the reason, where it is no such table.
    """
    header, *lines = _lines(path, rows)
    twice = next((name for at, name in enumerate(header) if name in header[:at]), None)
    if twice is not None:
        raise ValueError(f"it has two columns {twice!r}")
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            raise ValueError(f"row {number} has {len(line)} cells, the header {len(header)}")
    cells = zip(*lines, strict=True) if lines else [()] * len(header)
    columns = {name: _column(name, each) for name, each in zip(header, cells, strict=True)}
    return pd.DataFrame(columns, columns=header)


def _lines(path: Path, rows: int | None) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8", errors=ODD_BYTES) as file:
        try:
            lines = list(islice(csv.reader(file, strict=True), None if rows is None else rows + 1))
        except csv.Error as error:
            raise ValueError(str(error)) from error
    if not lines or not lines[0]:
        raise ValueError("it has no header")
    return lines


def _column(name: str, cells: Sequence[str]) -> pd.Series:
    if name in TEXTS:
        return pd.Series(cells, dtype=str)
    given = {cell for cell in cells if cell}
    if given and given <= TRUTH.keys() and "" not in cells and name not in NUMBERS:
        return pd.Series([TRUTH[cell] for cell in cells])
    if name in FLAGS and given:
        raise ValueError(f"column {name!r} holds something other than True and False")
    if all(map(_INTEGER.match, cells)):
        return pd.Series([int(cell) for cell in cells], dtype=None if cells else float)
    if all(map(NUMBER.match, given)):
        return pd.Series([float(cell) if cell else math.nan for cell in cells], dtype=float)
    if name.removesuffix("_low").removesuffix("_high") in NUMBERS:
        raise ValueError(f"column {name!r} holds something that is no number")
    return pd.Series([cell or None for cell in cells], dtype=str)


def csv_text(frame: pd.DataFrame) -> str:
    """Return a table as `read_frame` gives it back."""
    # The writer puts cells into quotes that hold a character of its line end, and "\r" ends a line for readers, too.
    return frame.to_csv(index=False, lineterminator=_LINE_END).replace(_LINE_END, "\n")


def write_csv(path: Path, text: str) -> None:
    """Write a table, atomically; `text` is that of `csv_text`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=ODD_BYTES, newline="")


_LINE_END = "\r\n\r\r\n\n"


def with_names(frame: pd.DataFrame, names: Iterable[str] = TEXTS) -> pd.DataFrame:
    """Return a frame whose names are text, also where `pandas.read_csv` took an empty one for a missing number."""
    lacking = [name for name in names if name in frame.columns and frame[name].isna().to_numpy().any()]
    return frame.assign(**{name: frame[name].astype(object).fillna("").astype(str) for name in lacking})


def settings_of(columns: Iterable[str]) -> list[str]:
    """Return the columns of `trials.csv` that hold what was tried: those behind `seconds`."""
    names = [*map(str, columns)]
    return names[names.index("seconds") + 1 :]

"""The results of one comparison: a journal that survives a kill, and the tables written from it."""

import json
import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

from ..system.errors import UserError
from .provenance import Stamp, read_run, staleness
from .schema import csv_text, current_row, read_frame, write_csv

# The columns that name a row. There is one row per person, method, control and budget; other columns are measures.
KEYS = ("dataset", "backbone", "persons", "seen", "method", "control", "budget", "seed", "identity", "shots")
NUMBERS = (
    "score",
    "score_full",
    "macs",
    "macs_fraction",
    "params",
    "params_fraction",
    "artifact_bytes",
    "retrain_samples",
    "train_samples",
    "queries",
    "personalize_seconds",
)
# Text columns of a table of persons that are not part of its key: the task, and its metric.
ABOUT = ("task", "metric")
COLUMNS = ("dataset", "backbone", "task", *KEYS[2:], "metric", *NUMBERS)
TABLE = "table.csv.gz"
TIMED = "personalize_seconds"  # naturally differs between runs
ADDED = ("train_samples", "queries")  # tables of earlier versions lack these
_DECIMALS = 8
_UNROUNDED = ("budget", "rate", "learning_rate")  # numbers that name rows are not rounded
_LINE_START = b'{"fingerprint": '  # how each line of a journal starts
Row = dict[str, Any]


class Journal:
    """A file of finished rows, one JSON line each.

    The rows of a unit of work are appended and synced together, so a kill loses at most the current unit. A line that a
    kill cut short is skipped when the file is read, and its row is computed again.

    - `rows`: the current rows by key.
    - `stale`: by key, why a row is out of date.
    - `broken`: the number of lines that a kill cut short.

    **Arguments:**

    - `folder`, `file`: the results folder, and the name of the file in it.
    - `fingerprints`: the stamp of everything that a row depends on apart from its key. Rows with another stamp are
      stale.
    - `by`: a function that returns the key of a row's stamp in `fingerprints`, by default its method.
    - `names`: the columns that name a row.

    Raise `UserError` if the file cannot be read, or is not a journal of this package.
    """

    def __init__(
        self,
        folder: Path,
        fingerprints: Mapping[Any, Stamp],
        *,
        by: Callable[[Row], Hashable] = itemgetter("method"),
        names: Sequence[str] = KEYS,
        file: str = "journal.jsonl",
    ):
        self.path, self.names = folder / file, names
        self.fingerprints, self.by = fingerprints, by
        self.rows: dict[tuple[Any, ...], Row] = {}
        self.stale: dict[tuple[Any, ...], str] = {}
        self.broken = 0
        self._offset = self._fragments = 0  # bytes read so far, and broken lines in them
        self.read()

    def has(self, keys: Iterable[tuple[Any, ...]]) -> bool:
        """Return whether the journal has a current row for each key."""
        return all(key in self.rows for key in keys)

    def append(self, rows: Sequence[Row]) -> None:
        """Append the rows of one unit of work."""
        marked = ({"fingerprint": self.fingerprints[self.by(row)], **row} for row in rows)
        # Start a new line, since a killed process may have left part of one.
        lines = "\n" + "".join(json.dumps(row) + "\n" for row in marked)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            data = lines.encode()
            while data := data[os.write(descriptor, data) :]:  # on a full disk the next write raises the error
                pass
            os.fsync(descriptor)
        except OSError as error:
            error.filename = str(self.path)
            raise
        finally:
            os.close(descriptor)
        self.rows.update((key_of(row, self.names), row) for row in rows)

    def read(self) -> None:
        """Read the lines that other processes have appended since the last read.

        Raise `UserError` if the file cannot be read, or is not a journal of this package.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                lines, _, rest = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(
                f"cannot read {self.path}: {error.strerror}; move it away, and run the command again"
            ) from error
        self._check_start(lines or rest)
        self._offset += len(lines) + bool(lines)
        for line in lines.split(b"\n"):
            try:
                row = current_row(json.loads(line))
                current = self.fingerprints.get(self.by(row))
                stamp, key = row.pop("fingerprint"), key_of(row, self.names)
                if current is not None:
                    if reason := staleness(stamp, current):
                        self.stale[key] = reason
                    else:
                        self.rows[key] = row
            except (ValueError, KeyError, AttributeError, TypeError):
                self._fragments += bool(line.strip())
        self.broken = self._fragments + bool(rest.strip())

    def _check_start(self, text: bytes) -> None:
        """Raise `UserError` if the file is not a journal, so that nothing is appended to somebody else's file.

        A kill or a power failure may leave a journal with blanks in place of lines, or with only a part of a line.
        """
        start = text.strip(b"\0 \r\n\t")[: len(_LINE_START)]
        if not self._offset and b"\n" + _LINE_START not in text and not _LINE_START.startswith(start):
            raise UserError(
                f"{self.path} is no journal of pppl and is left as it is: move it away, or name another --out"
            )


def key_of(row: Row, names: Sequence[str] = KEYS) -> tuple[Any, ...]:
    """Return the values that name a row, in the order of `names`.

    The budget is rounded to 8 decimals, as in tables of earlier versions.

    >>> key_of({"method": "ppp", "budget": 1 / 3, "score": 0.9}, ["method", "budget"])
    ('ppp', 0.33333333)
    """
    return tuple(round(row[name], _DECIMALS) if name == "budget" else row[name] for name in names)


def name_budgets_exactly(rows: Iterable[Row], budgets: Sequence[float]) -> list[Row]:
    """Return rows with the exact budgets of an experiment in place of those that earlier versions rounded.

    >>> name_budgets_exactly([{"budget": 0.33333333}], [1 / 3])
    [{'budget': 0.3333333333333333}]
    """
    exact = {round(budget, _DECIMALS): budget for budget in budgets}
    return [{**row, "budget": exact.get(round(row["budget"], _DECIMALS), row["budget"])} for row in rows]


def adopt_table(journal: Journal) -> None:
    """Append rows of the folder's table that the journal lacks, as results may come without their journal.

    Only rows that are current by the fingerprints in `run.json` are appended. `journal.stale` reports why others are
    out of date.
    """
    folder = journal.path.parent
    stamps = read_run(folder).get("fingerprints")
    if not isinstance(stamps, dict):
        return
    reasons = {method: staleness(stamps.get(method), stamp) for method, stamp in journal.fingerprints.items()}
    with suppress(UserError):  # rows of an unreadable table are computed again
        rows = [row for row in read_table(folder / TABLE) if row["method"] in reasons]
        lacking = [row for row in rows if key_of(row) not in journal.rows]
        journal.stale |= {key_of(row): reason for row in lacking if (reason := reasons[row["method"]])}
        if current := [row for row in lacking if not reasons[row["method"]]]:
            journal.append(current)


def read_table(path: Path) -> list[Row]:
    """Return the rows of a table of persons. Tables of earlier versions may lack `train_samples` and `queries`.

    Raise `UserError` if the table cannot be read.

    ```python
    read_table(Path("results/digits/table.csv.gz"))[0]["score"]
    ```
    """
    try:
        frame = read_frame(path)
        columns = [name for name in COLUMNS if name not in ADDED or name in frame.columns]
        frame = frame.loc[:, columns]
        for column in ("budget", "seed", "shots", *(name for name in NUMBERS if name in columns)):
            if len(frame) and frame[column].dtype.kind not in "if":
                raise ValueError(f"column {column} holds something that is no number")
        return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read {path} as a table of results: {' '.join(str(error).split())}") from error


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV, atomically. Numbers have 8 decimals, but those that name rows are exact."""
    write_csv(path, table_text(frame))


def table_text(frame: pd.DataFrame) -> str:
    """Return the text that `write_table` writes."""
    return csv_text(round_numbers(frame))


def round_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its numbers rounded as `write_table` does.

    >>> round_numbers(pd.DataFrame({"budget": [1 / 3], "score": [1 / 3]})).iloc[0].tolist()
    [0.3333333333333333, 0.33333333]
    """
    exact = [name for name in _UNROUNDED if name in frame.columns]
    return frame.round(_DECIMALS).assign(**{name: frame[name] for name in exact})

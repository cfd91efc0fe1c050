"""The results of one comparison: a journal that survives a kill, and the tables made of it."""

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

# One row per person, method, control and budget; these name the row, the rest measure it.
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
# Texts that every row of persons has besides its key: what is predicted, and how it is scored.
ABOUT = ("task", "metric")
COLUMNS = ("dataset", "backbone", "task", *KEYS[2:], "metric", *NUMBERS)
TABLE = "table.csv.gz"
TIMED = "personalize_seconds"  # differs between runs by nature
ADDED = ("train_samples", "queries")  # which tables of earlier versions lack
_DECIMALS = 8
_EXACT = ("budget", "rate", "learning_rate")  # numbers that name rows
_BEGINS = b'{"fingerprint": '  # each line of a journal
Row = dict[str, Any]


class Journal:
    """Finished rows, one JSON line each.

    A unit's rows are appended by a single write and synced, so a kill loses at most the unit in hand. A line that a
    kill cut short is left out when it is read, and computed again.

    **Arguments:**

    - `folder`: of the results; `file`: its name in there.
    - `fingerprints`: the stamp of all that a row depends on besides its keys, by what `by` gives of the row; rows with
      another one are left out, and `stale` tells why.
    - `names`: of the columns that name a row.
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
        self._offset = self._fragments = 0  # what has been read, and the broken lines in it
        self.read()

    def has(self, keys: Iterable[tuple[Any, ...]]) -> bool:
        """Whether all rows of these keys are there."""
        return all(key in self.rows for key in keys)

    def append(self, rows: Sequence[Row]) -> None:
        """Adds the rows of one unit."""
        marked = ({"fingerprint": self.fingerprints[self.by(row)], **row} for row in rows)
        # It begins a line of its own, whatever another process was killed at.
        lines = "\n" + "".join(json.dumps(row) + "\n" for row in marked)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            data = lines.encode()
            while data := data[os.write(descriptor, data) :]:  # what did not fit is not taken, either, and says why
                pass
            os.fsync(descriptor)
        except OSError as error:
            error.filename = str(self.path)
            raise
        finally:
            os.close(descriptor)
        self.rows.update((key_of(row, self.names), row) for row in rows)

    def read(self) -> None:
        """Takes in what other processes have appended since; `broken` counts the lines that a kill cut short.

        Raises `UserError` where the file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                lines, _, rest = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror}; move it away and run again") from error
        self._refuse_others(lines or rest)
        self._offset += len(lines) + bool(lines)
        for line in lines.split(b"\n"):
            try:
                row = current_row(json.loads(line))
                current = self.fingerprints.get(self.by(row))
                told, key = row.pop("fingerprint"), key_of(row, self.names)
                if current is not None:
                    if why := staleness(told, current):
                        self.stale[key] = why
                    else:
                        self.rows[key] = row
            except (ValueError, KeyError, AttributeError, TypeError):
                self._fragments += bool(line.strip())
        self.broken = self._fragments + bool(rest.strip())

    def _refuse_others(self, text: bytes) -> None:
        """Raises `UserError` where the file is no journal: nothing is added to somebody else's.

        What a kill or a power failure leaves of one has blanks in place of lines, or less than a line.
        """
        begins = text.strip(b"\0 \r\n\t")[: len(_BEGINS)]
        if not self._offset and b"\n" + _BEGINS not in text and not _BEGINS.startswith(begins):
            raise UserError(
                f"{self.path} is no journal of pppl: it stays as it is; move it away, or name another --out"
            )


def key_of(row: Row, names: Sequence[str] = KEYS) -> tuple[Any, ...]:
    """What names a row, in the order of `names`; of a budget 8 decimals, which tables of earlier versions have."""
    return tuple(round(row[name], _DECIMALS) if name == "budget" else row[name] for name in names)


def name_budgets_exactly(rows: Iterable[Row], budgets: Sequence[float]) -> list[Row]:
    """Return rows with their budgets as an experiment names them, not as earlier versions have rounded them."""
    exact = {round(budget, _DECIMALS): budget for budget in budgets}
    return [{**row, "budget": exact.get(round(row["budget"], _DECIMALS), row["budget"])} for row in rows]


def adopt_table(journal: Journal) -> None:
    """Adds the rows of the table that the journal lacks, where `run.json` says that they are current: of results that
    came without their journal. `journal.stale` tells of the others.
    """
    folder = journal.path.parent
    told = read_run(folder).get("fingerprints")
    if not isinstance(told, dict):
        return
    why = {method: staleness(told.get(method), stamp) for method, stamp in journal.fingerprints.items()}
    with suppress(UserError):  # what cannot be read is computed again
        rows = [row for row in read_table(folder / TABLE) if row["method"] in why]
        lacking = [row for row in rows if key_of(row) not in journal.rows]
        journal.stale |= {key_of(row): reason for row in lacking if (reason := why[row["method"]])}
        if current := [row for row in lacking if not why[row["method"]]]:
            journal.append(current)


def read_table(path: Path) -> list[Row]:
    """The rows of a table of persons; without `train_samples` or `queries` where it is of an earlier version.

    Raises `UserError` where it cannot be read.
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
    """Writes a CSV, atomically, with 8 decimals; numbers that name rows are written exactly."""
    write_csv(path, table_text(frame))


def table_text(frame: pd.DataFrame) -> str:
    """What `write_table` writes."""
    return csv_text(round_numbers(frame))


def round_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table as `write_table` keeps it."""
    exact = [name for name in _EXACT if name in frame.columns]
    return frame.round(_DECIMALS).assign(**{name: frame[name] for name in exact})

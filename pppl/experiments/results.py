"""The results of one comparison: a journal that survives a kill, and the tables made of it."""

import errno
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import UserError
from ..files import replacing

# One row per person, method, control and budget; these name the row, the rest measure it.
KEYS = ("dataset", "backbone", "persons", "seen", "method", "control", "budget", "seed", "identity", "shots")
NUMBERS = (
    "accuracy",
    "accuracy_full",
    "macs",
    "macs_fraction",
    "params",
    "params_fraction",
    "artifact_bytes",
    "retrain_samples",
    "personalize_seconds",
)
COLUMNS = (*KEYS, *NUMBERS)
Row = dict[str, Any]


class Journal:
    """Finished rows, one JSON line each, in `journal.jsonl`.

    A unit's rows are appended by a single write and synced, so a kill loses at most the unit in hand. A line that a
    kill cut short is left out when it is read, and computed again.

    **Arguments:**

    - `folder`: of the results.
    - `fingerprint`: hash of all that a row depends on besides its keys; rows with another one are stale and left out.
    - `names`: of the columns that name a row.
    """

    def __init__(self, folder: Path, fingerprint: str, names: Sequence[str] = KEYS):
        self.path, self.fingerprint, self.names = folder / "journal.jsonl", fingerprint, names
        self.rows: dict[tuple[Any, ...], Row] = {}
        self.broken = 0
        self.read()

    def has(self, keys: Iterable[tuple[Any, ...]]) -> bool:
        """Whether all rows of these keys are there."""
        return all(key in self.rows for key in keys)

    def append(self, rows: Sequence[Row]) -> None:
        """Adds the rows of one unit."""
        lines = "".join(json.dumps({"fingerprint": self.fingerprint, **row}) + "\n" for row in rows)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            data = lines.encode()
            if os.write(descriptor, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.rows.update((key_of(row, self.names), row) for row in rows)

    def read(self) -> None:
        """Takes in what other processes have appended since; `broken` counts the lines that a kill cut short.

        Raises `UserError` where the file cannot be read.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror}; move it away and run again") from error
        self.broken = 0
        for line in data.splitlines():
            try:
                row = json.loads(line)
                if row.pop("fingerprint") == self.fingerprint:
                    self.rows[key_of(row, self.names)] = row
            except (ValueError, KeyError, AttributeError, TypeError):
                self.broken += bool(line.strip())
        if data and not data.endswith(b"\n"):  # so that the next append starts a line of its own
            with self.path.open("ab") as file:
                file.write(b"\n")


def key_of(row: Row, names: Sequence[str] = KEYS) -> tuple[Any, ...]:
    """What names a row, in the order of `names`."""
    return tuple(row[name] for name in names)


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Writes a CSV, atomically, with 8 decimals."""
    with replacing(path) as temporary:
        frame.round(8).to_csv(temporary, index=False, lineterminator="\n")

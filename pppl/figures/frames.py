"""Tables of a results folder, checked for the columns that figures need."""

from pathlib import Path

import numpy as np
import pandas as pd

from ..system.errors import UserError
from ..tables.schema import load_frame, rewriting

TASK_NUMBERS = ["n", "score", "score_low", "score_high"]
SUMMARY_NUMBERS = ["budget", "macs_fraction", "n", "people", "score", "score_low", "score_high"]
CURVES_NUMBERS = [f"macs_within_{points}{end}" for points in "13" for end in ("", "_low", "_high")]
GAINS_NUMBERS = ["budget", "gain", "gain_low", "gain_high"]


def read_columns(path: Path, names: list[str], numbers: list[str], *, rows: bool = True) -> pd.DataFrame:
    """Return a table of a results folder after checking its columns.

    Raise `UserError` if the table is missing or corrupted.

    **Arguments:**

    - `names`, `numbers`: columns that must exist; those in `numbers` must hold finite numbers.
    - `rows`: whether the table must have rows.
    """
    frame = load_frame(path)
    if rows and not len(frame):
        raise UserError(f"{path} has no rows; {rewriting(path)}")
    check_columns(path, frame, names, numbers)
    return frame


def check_columns(path: Path, frame: pd.DataFrame, names: list[str], numbers: list[str]) -> None:
    """Raise `UserError` if a table lacks a column, or one of `numbers` holds anything but finite numbers."""
    remedy = rewriting(path)
    for column in [*names, *numbers]:
        if column not in frame.columns:
            raise UserError(f"{path} is corrupted: it has no column {column!r}; {remedy}")
    for column in numbers:
        if frame[column].dtype.kind not in "if" or not np.isfinite(frame[column].to_numpy(float)).all():
            raise UserError(f"{path} is corrupted: column {column!r} holds something that is no number; {remedy}")

"""Tables of a results folder, checked for what figures need of them."""

from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import UserError

# Columns that are empty where a row is what the others are compared with, or training diverged.
_PAIRED = [f"minus_{reference}{end}" for reference in ("full", "diff") for end in ("", "_low", "_high")]
_PAIRED += ["reference", "holm_tests", *(f"reference_minus_this{end}" for end in ("", "_low", "_high"))]
_EMPTY = {name: [""] for name in ("wilcoxon_p", "holm_p", "task_bytes", *_PAIRED)}
SWEEP_EMPTY = [""]  # what a trial that was ended early lacks, or one that another setting's value excludes
TASK_NUMBERS = ["n", "score", "score_low", "score_high"]
SUMMARY_NUMBERS = ["budget", "macs_fraction", "n", "people", "accuracy", "accuracy_low", "accuracy_high"]
CURVES_NUMBERS = [f"macs_within_{points}{end}" for points in "13" for end in ("", "_low", "_high")]
GAINS_NUMBERS = ["budget", "gain", "gain_low", "gain_high"]


def read(path: Path, names: list[str], numbers: list[str], empty: Any = _EMPTY) -> pd.DataFrame:
    """A table. Raises `UserError` where it is missing or corrupted.

    **Arguments:**

    - `names`, `numbers`: columns that must be there; what stands in the latter must be numbers.
    - `empty`: what stands for no value, by column or of all.
    """
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=empty)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; name a folder that `pppl compare` has written"
        ) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is corrupted ({' '.join(str(error).split())}); {_remedy(path)}") from error
    check(path, frame, names, numbers)
    return frame


def check(path: Path, frame: pd.DataFrame, names: list[str], numbers: list[str]) -> None:
    """Raises `UserError` where a table lacks a column, or one of `numbers` holds something else."""
    remedy = _remedy(path)
    for column in [*names, *numbers]:
        if column not in frame.columns:
            raise UserError(f"{path} is corrupted: it has no column {column!r}; {remedy}")
    for column in numbers:
        if frame[column].dtype.kind not in "if" or frame[column].isna().to_numpy().any():
            raise UserError(f"{path} is corrupted: column {column!r} holds something that is no number; {remedy}")


def _remedy(path: Path) -> str:
    verb = "sweep" if path.name in ("trials.csv", "importances.csv") else "compare"
    return f"run `pppl {verb}` with the same --out again, it rewrites the tables from its journal"

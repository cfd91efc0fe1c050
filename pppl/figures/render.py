"""Every figure of a results folder, as PNG and PDF."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from ..errors import UserError
from ..files import output_folder, replacing
from .accuracy_vs_bytes import has_rates
from .panels import (
    accuracy_figure,
    bytes_figure,
    gain_figure,
    gates_figure,
    iso_figure,
    retraining_figure,
    scores_figure,
    storage_figure,
)
from .style import RC
from .sweep_panels import sweep_figures
from .sweeps import complete


def render(folder: Path) -> list[Path]:
    """Draws what the tables of a folder tell.

    `figures/accuracy_vs_macs` and, where something is trained for a person, `figures/retraining` from `summary.csv`;
    `figures/accuracy_vs_bytes` where diff pruning has several rates; `figures/iso_macs` from `curves.csv`,
    `figures/personal_gain` from `gains.csv` and `table.csv`, `figures/gates` from `gates.csv`, where these are there.
    Of a comparison on tasks, `figures/task_scores` from `summary.csv` and `figures/storage` from `stream.csv`. Of a
    sweep, `figures/history`, `contour`, `parallel` and, with several objectives, `pareto` from `trials.csv`, and
    `figures/importances` from `importances.csv`.

    **Returns:** the PNG files. Raises `UserError` where a table is missing or corrupted.
    """
    figures: dict[str, Figure] = {}
    with mpl.rc_context(RC):
        if (folder / "trials.csv").exists():
            return [_save(figure, folder, name) for name, figure in _of_sweep(folder).items()]
        summary = _read(folder / "summary.csv", ["method"], [])
        if "task" in summary.columns:
            _check(folder / "summary.csv", summary, ["metric", "task_bytes"], _TASK_NUMBERS)
            figures["task_scores"] = scores_figure(summary)
        else:
            _check(folder / "summary.csv", summary, ["persons", "seen", "control"], _SUMMARY_NUMBERS)
            figures["accuracy_vs_macs"] = accuracy_figure(summary)
            if has_rates(summary):
                _check(folder / "summary.csv", summary, [], ["artifact_bytes"])
                figures["accuracy_vs_bytes"] = bytes_figure(summary)
            figures |= _of_persons(folder, summary)
        if (folder / "gates.csv").exists():
            frame = _read(folder / "gates.csv", ["persons", "seen", "identity"], ["layer", "channel", "probability"])
            figures["gates"] = gates_figure(frame)
        if (folder / "stream.csv").exists():
            stream = _read(folder / "stream.csv", [], ["step", "stored_bytes", "copies_bytes"])
            figures["storage"] = storage_figure(stream)
        return [_save(figure, folder, name) for name, figure in figures.items()]


def _of_sweep(folder: Path) -> dict[str, Figure]:
    trials = _read(folder / "trials.csv", ["state", "feasible", "best", "seconds"], ["trial"], _SWEEP_EMPTY)
    _check(folder / "trials.csv", complete(trials), [], ["accuracy", "macs_fraction"])
    shares = pd.DataFrame()
    if (folder / "importances.csv").exists():
        shares = _read(folder / "importances.csv", ["key"], ["importance", "importance_low", "importance_high"])
    return sweep_figures(trials, shares)


def _of_persons(folder: Path, summary: pd.DataFrame) -> dict[str, Figure]:
    """What the tables beside `summary.csv` tell; early results have none."""
    figures: dict[str, Figure] = {}
    if (folder / "curves.csv").exists():
        curves = _read(folder / "curves.csv", ["persons", "seen", "method", "control"], [])
        if len(curves):
            _check(folder / "curves.csv", curves, [], _CURVES_NUMBERS)
            figures["iso_macs"] = iso_figure(curves)
    if (folder / "gains.csv").exists():
        gains = _read(folder / "gains.csv", ["persons", "seen", "method", "against"], [])
        if "other" in set(gains["against"]):
            _check(folder / "gains.csv", gains, [], _GAINS_NUMBERS)
            table = _read(folder / "table.csv", ["persons", "seen", "method", "control", "identity"], ["accuracy"])
            figures["personal_gain"] = gain_figure(table, gains)
    _check(folder / "summary.csv", summary, [], ["retrain_samples"])
    if any(summary["retrain_samples"]):
        figures["retraining"] = retraining_figure(summary)
    return figures


# Columns that are empty where a row is what the others are compared with, or training diverged.
_PAIRED = [f"minus_{reference}{end}" for reference in ("full", "diff") for end in ("", "_low", "_high")]
_PAIRED += [f"ppp_minus_this{end}" for end in ("", "_low", "_high")]
_EMPTY = {name: [""] for name in ("wilcoxon_p", "holm_p", "task_bytes", *_PAIRED)}
_SWEEP_EMPTY = [""]  # what a trial that was ended early lacks, or one that another setting's value excludes
_TASK_NUMBERS = ["score", "score_low", "score_high"]
_SUMMARY_NUMBERS = ["budget", "macs_fraction", "n", "people", "accuracy", "accuracy_low", "accuracy_high"]
_CURVES_NUMBERS = [f"macs_within_{points}{end}" for points in "13" for end in ("", "_low", "_high")]
_GAINS_NUMBERS = ["budget", "gain", "gain_low", "gain_high"]


def _read(path: Path, names: list[str], numbers: list[str], empty: Any = _EMPTY) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=empty)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; name a folder that `pppl compare` has written"
        ) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is corrupted ({' '.join(str(error).split())}); {_remedy(path)}") from error
    _check(path, frame, names, numbers)
    return frame


def _remedy(path: Path) -> str:
    verb = "sweep" if path.name in ("trials.csv", "importances.csv") else "compare"
    return f"run `pppl {verb}` with the same --out again, it rewrites the tables from its journal"


def _check(path: Path, frame: pd.DataFrame, names: list[str], numbers: list[str]) -> None:
    remedy = _remedy(path)
    for column in [*names, *numbers]:
        if column not in frame.columns:
            raise UserError(f"{path} is corrupted: it has no column {column!r}; {remedy}")
    for column in numbers:
        if frame[column].dtype.kind not in "if" or frame[column].isna().to_numpy().any():
            raise UserError(f"{path} is corrupted: column {column!r} holds something that is no number; {remedy}")


def _save(figure: Figure, folder: Path, name: str) -> Path:
    target: Callable[[str], Path] = lambda suffix: output_folder(folder / "figures") / f"{name}.{suffix}"  # noqa: E731
    with replacing(target("pdf")) as path:
        figure.savefig(path, metadata={"CreationDate": None})
    with replacing(target("png")) as path:
        figure.savefig(path)
    return target("png")

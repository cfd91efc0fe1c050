"""Every results folder made again from what its `run.json` says, and compared with what was kept."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..system.errors import UserError
from ..system.files import claim, expand, output_folder, replacing
from ..system.tracking import notice
from ..tables.journal import write_table
from ..tables.provenance import read_run
from ..tables.schema import load_frame
from .result_kinds import KINDS, KeptResults, MissingInputs, ResultKind

# The share of rows that must lie in the intervals that were kept.
LEAST = 0.95
TABLE, ROWS = "reproduced.csv", "agreement.csv"
# In a folder that was begun here: nothing in it was computed elsewhere.
_MARK = "reproduces.txt"
# Rows outside that are named on the way; all of them are in the table of rows.
_NAMED = 10


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """What came of one folder.

    - `rows`: compared, of which `equal` are the same number by number, `within` have their new mean in the interval
      that was kept, `overlapping` have intervals with a number in common, and `outside` are not within. `missing`:
      were not made again.
    - `seconds`: of the call that finished it, comparison left out.
    - `verdict`: `reproduced`, `differs`, `failed` (an error on the way) or `skipped` (data or packages are absent).
    - `reason`: why not reproduced; else what to know.
    """

    folder: str
    kind: str = ""
    rows: int = 0
    missing: int = 0
    equal: int = 0
    within: int = 0
    overlapping: int = 0
    outside: int = 0
    seconds: float = 0.0
    verdict: str
    reason: str = ""


def reproduce(
    folders: Iterable[str | Path], out: str | Path, *, kinds: Sequence[ResultKind] = KINDS, workers: int = 1
) -> pd.DataFrame:
    """Makes results again in folders of the same names below `out`, and returns a row for each, as `Reproduced` says.

    Settings are those of each folder's `run.json`. Networks are trained anew: they are kept in `out/cache`, not taken
    from the user's. Nothing that an earlier call has finished in `out` is computed again. `out` receives
    `reproduced.csv`, with the rows of earlier calls for other folders, and each folder `agreement.csv`, row by row.

    A folder is reproduced where no row is missing and 95 % of them lie in the intervals that were kept. On the machine
    that made them all rows are equal. Elsewhere networks are others, and the bar is a high one: of means that differ
    by their networks alone, 83 % lie in each other's 95 % intervals (Cumming, Maillardet, Psychological Methods 2006),
    of such that differ by their persons alone, who are the same here, all. Rows that share networks leave together.

    Raises `UserError` where no folder is named, two have the same name, or `out` would be written into one of them.
    """
    out = expand(out)
    given = _results_among(folders, out)
    output_folder(out)
    claim([out / TABLE])
    report: dict[str, Reproduced] = {}
    for folder in given:
        with _own_cache(out / "cache"):
            result = _reproduced(folder, out / folder.name, kinds, workers)
        report[result.folder] = result
        notice(f"{folder}: {result.verdict}" + (f": {result.reason}" if result.reason else ""))
        _write(report, out / TABLE)
    return pd.DataFrame([asdict(each) for each in report.values()])


def check(report: pd.DataFrame) -> None:
    """Raises `UserError` where a folder was not reproduced, or all were skipped, which is no success either."""
    bad = [row["folder"] for row in report.to_dict("records") if row["verdict"] in ("differs", "failed")]
    if bad:
        raise UserError(f"not reproduced: {', '.join(bad)}; {ROWS} in each tells the rows, the same command goes on")
    if set(report["verdict"]) == {"skipped"}:
        raise UserError("nothing was reproduced: name folders of results whose data are here (see `pppl data list`)")


def reproduction_as_text(report: pd.DataFrame) -> str:
    """A row for each folder, and why it was not reproduced."""
    counts = report.drop(columns="reason").assign(seconds=report["seconds"].round().astype(int))
    reasons = [f"{row['folder']}: {row['reason']}" for row in report.to_dict("records") if row["reason"]]
    return "\n".join([counts.to_string(index=False), *reasons])


def _results_among(folders: Iterable[str | Path], out: Path) -> list[Path]:
    """Folders but `out` itself, which a pattern such as `results/*` takes in, as it does files."""
    given = [path for path in map(expand, folders) if path.resolve() != out.resolve() and not path.is_file()]
    if not given:
        raise UserError("no folder of results was named: name some that hold a run.json")
    for folder in given:
        if not folder.exists():
            raise UserError(f"no such folder: {folder}")
        if (out / folder.name).resolve() == folder.resolve():
            raise UserError(f"--out {out} is where {folder} lies: name another folder, what was kept must stay")
    names = [folder.name for folder in given]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two folders are called {name}: make each again below an --out of its own")
    return given


@contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """While open, networks are kept in `folder`, by this process and those that it starts."""
    before = os.environ.get("PPPL_CACHE")
    os.environ["PPPL_CACHE"] = str(folder.absolute())
    try:
        yield
    finally:
        if before is None:
            del os.environ["PPPL_CACHE"]
        else:
            os.environ["PPPL_CACHE"] = before


def _reproduced(folder: Path, again: Path, kinds: Sequence[ResultKind], workers: int) -> Reproduced:
    run = read_run(folder)
    config = run.get("config")
    if not isinstance(config, dict):
        return Reproduced(folder=folder.name, verdict="skipped", reason="no run.json that tells how it was made")
    kind = next((each for each in kinds if each.made(config)), None)
    if kind is None:
        return Reproduced(folder=folder.name, verdict="skipped", reason="run.json is of none of the known kinds")
    kept = KeptResults(folder=folder, run=run)
    try:
        told = kind.check(kept)
        _begin(kept, again)
        notice(f"{folder}: made again in {again}, where networks are trained anew and what is finished is kept")
        kind.remake(kept, again, workers)
        rows = kind.agreement(folder, again)
        write_table(again / ROWS, rows)
    except MissingInputs as absent:
        return Reproduced(folder=folder.name, kind=kind.name, verdict="skipped", reason=str(absent))
    except UserError as error:
        return Reproduced(folder=folder.name, kind=kind.name, verdict="failed", reason=str(error))
    _tell_outside(folder, rows)
    return _judged(folder.name, kind.name, rows, read_run(again).get("wall_seconds", 0.0), told)


def _begin(kept: KeptResults, again: Path) -> None:
    """Marks a folder as one that begins empty, so that no row or network in it was computed by others.

    Raises `UserError` where there are other files.
    """
    if (again / _MARK).exists():
        return
    if again.exists() and any(not path.name.startswith(".") for path in again.iterdir()):  # hidden: cut short, or ours
        raise UserError(f"{again} has files that were not made by `pppl results reproduce`: name another --out")
    output_folder(again)
    with replacing(again / _MARK) as path:
        path.write_text(f"{kept.folder}, of commit {kept.run.get('git_commit')}\n", encoding="utf-8")


def _judged(folder: str, kind: str, rows: pd.DataFrame, seconds: float, told: str) -> Reproduced:
    names = ("missing", "equal", "within", "overlapping")
    missing, equal, within, overlapping = (int(np.count_nonzero(rows[name])) for name in names)
    compared = len(rows) - missing
    good = compared > 0 and not missing and within >= LEAST * compared
    share = f"{within / compared:.1%} of {compared} rows are within" if compared else "no row could be compared"
    lacking = f", {missing} are missing" if missing else ""
    return Reproduced(
        folder=folder,
        kind=kind,
        rows=compared,
        missing=missing,
        equal=equal,
        within=within,
        overlapping=overlapping,
        outside=compared - within,
        seconds=seconds,
        verdict="reproduced" if good else "differs",
        reason=told if good else f"{share}{lacking}" + (f"; {told}" if told else ""),
    )


def _tell_outside(folder: Path, rows: pd.DataFrame) -> None:
    bad = [row for row in rows.to_dict("records") if not row["within"]]
    for row in bad[:_NAMED]:
        if row["missing"]:
            notice(f"{folder}: {row['row']}: missing")
        else:
            interval = f"[{row['kept_low']:.4f}, {row['kept_high']:.4f}]"
            notice(f"{folder}: {row['row']}: {row['again']:.4f}, kept {row['kept']:.4f} {interval}")
    if len(bad) > _NAMED:
        notice(f"{folder}: and {len(bad) - _NAMED} more: see {ROWS}")


def _write(report: dict[str, Reproduced], path: Path) -> None:
    """Adds rows to the table, in place of earlier ones of the same folders.

    Raises `UserError` where that is something else.
    """
    rows = {name: asdict(each) for name, each in report.items()}
    if path.exists():
        before = load_frame(path)
        if "folder" not in before.columns:
            raise UserError(f"{path} is no table of folders: move it away")
        rows = {str(row["folder"]): row for row in before.to_dict("records")} | rows
    write_table(path, pd.DataFrame([rows[name] for name in sorted(rows)]))

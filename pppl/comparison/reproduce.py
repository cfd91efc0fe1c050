"""The reproduction of results folders: they are computed again from their `run.json` and compared."""

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
from .kept_results import KeptResults
from .result_kinds import KINDS, MissingInputs, ResultKind, kind_of

# The share of new means that must lie in the kept intervals.
LEAST = 0.95
TABLE, ROWS = "reproduced.csv", "agreement.csv"
# A file that marks a folder as started here: nothing in it was computed elsewhere.
_MARK = "reproduces.txt"
# So many rows outside their intervals are reported one by one; all of them are in the table of rows.
_MOST_REPORTED = 10


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """The outcome of one folder.

    - `rows`: the number of rows compared. Of these, `equal` have the same numbers, `within` have their new mean in the
      kept interval, `overlapping` have intervals that overlap, and `outside` are not within. `missing` rows were not
      computed again.
    - `seconds`: the time of the call that finished the folder, without the comparison.
    - `verdict`: `reproduced`, `differs`, `failed` (an error occurred) or `skipped` (data or packages are missing).
    - `reason`: the reason if it was not reproduced; otherwise a note or nothing.
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
    """Compute results again in folders of the same names below `out`, and return a `Reproduced` row for each.

    Settings come from each folder's `run.json`. Networks are trained anew and kept in `out/cache`; the user's cache is
    not used. A second call resumes in `out`. `out` receives `reproduced.csv`, which keeps the rows of earlier calls for
    other folders, and each new folder receives `agreement.csv`, row by row.

    A folder is reproduced if no row is missing and 95 % of the new means lie in the kept intervals. On the machine that
    made them, all rows are equal. Another machine trains other networks, and the bar is a high one there: of means that
    differ by their networks alone, 83 % lie in each other's 95 % intervals (Cumming, Maillardet, Psychological Methods
    2006). Persons are the same and add no difference. Rows that share networks leave their intervals together.

    ```python
    report = reproduce(["results/digits"], "reproduced")
    check(report)
    ```

    Raise `UserError` if no folder is named, two have the same name, or `out` is where one of them lies.
    """
    out = expand(out)
    results = _list_results(folders, out)
    output_folder(out)
    claim([out / TABLE])
    report: dict[str, Reproduced] = {}
    for folder in results:
        with _use_cache(out / "cache"):
            result = _reproduce_folder(folder, out / folder.name, kinds, workers)
        report[result.folder] = result
        notice(f"{folder}: {result.verdict}" + (f": {result.reason}" if result.reason else ""))
        _write(report, out / TABLE)
    return pd.DataFrame([asdict(each) for each in report.values()])


def check(report: pd.DataFrame) -> None:
    """Raise `UserError` if a folder was not reproduced, or if all were skipped, which is no success either."""
    bad = [row["folder"] for row in report.to_dict("records") if row["verdict"] in ("differs", "failed")]
    if bad:
        raise UserError(f"not reproduced: {', '.join(bad)}; see {ROWS} in each; the same command resumes")
    if set(report["verdict"]) == {"skipped"}:
        raise UserError("nothing was reproduced: name folders of results whose data are here (see `pppl data list`)")


def reproduction_as_text(report: pd.DataFrame) -> str:
    """Return a text with a row for each folder, and the reasons of those not reproduced."""
    counts = report.drop(columns="reason").assign(seconds=report["seconds"].round().astype(int))
    reasons = [f"{row['folder']}: {row['reason']}" for row in report.to_dict("records") if row["reason"]]
    return "\n".join([counts.to_string(index=False), *reasons])


def _list_results(folders: Iterable[str | Path], out: Path) -> list[Path]:
    """Return the folders without files and `out` itself, which a pattern such as `results/*` includes."""
    results = [path for path in map(expand, folders) if path.resolve() != out.resolve() and not path.is_file()]
    if not results:
        raise UserError("no folder of results was named: name some that hold a run.json")
    for folder in results:
        if not folder.exists():
            raise UserError(f"no such folder: {folder}")
        if (out / folder.name).resolve() == folder.resolve():
            raise UserError(f"--out {out} would write into {folder}: name another --out")
    names = [folder.name for folder in results]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two folders are called {name}: reproduce each with an --out of its own")
    return results


@contextmanager
def _use_cache(folder: Path) -> Iterator[None]:
    """Make `folder` the cache of networks while the context is open, in worker processes, too."""
    before = os.environ.get("PPPL_CACHE")
    os.environ["PPPL_CACHE"] = str(folder.absolute())
    try:
        yield
    finally:
        if before is None:
            del os.environ["PPPL_CACHE"]
        else:
            os.environ["PPPL_CACHE"] = before


def _reproduce_folder(folder: Path, again: Path, kinds: Sequence[ResultKind], workers: int) -> Reproduced:
    """Compute the results of `folder` again in `again`, and return the outcome."""
    kept = KeptResults(folder=folder, run=read_run(folder))
    if not isinstance(kept.run.get("config"), dict):
        return Reproduced(folder=folder.name, verdict="skipped", reason="no run.json with the settings that made it")
    kind = kind_of(kept, kinds)
    if kind is None:
        return Reproduced(folder=folder.name, verdict="skipped", reason="run.json is of none of the known kinds")
    try:
        note = kind.check(kept)
        _mark_folder(kept, again)
        notice(f"{folder}: computed again in {again}; networks are trained anew, finished work is kept")
        kind.remake(kept, again, workers)
        rows = kind.agreement(folder, again)
        write_table(again / ROWS, rows)
    except MissingInputs as error:
        return Reproduced(folder=folder.name, kind=kind.name, verdict="skipped", reason=str(error))
    except UserError as error:
        return Reproduced(folder=folder.name, kind=kind.name, verdict="failed", reason=str(error))
    _report_outside(folder, rows)
    return _judge(folder.name, kind.name, rows, read_run(again).get("wall_seconds", 0.0), note)


def _mark_folder(kept: KeptResults, again: Path) -> None:
    """Mark an empty folder as started here: no row or network in it was computed elsewhere.

    Raise `UserError` if it has other files.
    """
    if (again / _MARK).exists():
        return
    if again.exists() and any(not path.name.startswith(".") for path in again.iterdir()):  # hidden files are temporary
        raise UserError(f"{again} has files that were not made by `pppl results reproduce`: name another --out")
    output_folder(again)
    with replacing(again / _MARK) as path:
        path.write_text(f"{kept.folder}, of commit {kept.run.get('git_commit')}\n", encoding="utf-8")


def _judge(folder: str, kind: str, rows: pd.DataFrame, seconds: float, note: str) -> Reproduced:
    """Return the outcome of a folder by its table of rows."""
    names = ("missing", "equal", "within", "overlapping")
    missing, equal, within, overlapping = (int(np.count_nonzero(rows[name])) for name in names)
    compared = len(rows) - missing
    reproduced = compared > 0 and not missing and within >= LEAST * compared
    share = f"{within / compared:.1%} of {compared} rows are within" if compared else "no row could be compared"
    missing_rows = f", {missing} are missing" if missing else ""
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
        verdict="reproduced" if reproduced else "differs",
        reason=note if reproduced else f"{share}{missing_rows}" + (f"; {note}" if note else ""),
    )


def _report_outside(folder: Path, rows: pd.DataFrame) -> None:
    """Report the first rows that are missing or outside their kept intervals."""
    bad = [row for row in rows.to_dict("records") if not row["within"]]
    for row in bad[:_MOST_REPORTED]:
        if row["missing"]:
            notice(f"{folder}: {row['row']}: missing")
        else:
            interval = f"[{row['kept_low']:.4f}, {row['kept_high']:.4f}]"
            notice(f"{folder}: {row['row']}: {row['again']:.4f}, kept {row['kept']:.4f} {interval}")
    if len(bad) > _MOST_REPORTED:
        notice(f"{folder}: and {len(bad) - _MOST_REPORTED} more: see {ROWS}")


def _write(report: dict[str, Reproduced], path: Path) -> None:
    """Add rows to the table, in place of earlier rows of the same folders.

    Raise `UserError` if the file is another table.
    """
    rows = {name: asdict(each) for name, each in report.items()}
    if path.exists():
        before = load_frame(path)
        if "folder" not in before.columns:
            raise UserError(f"{path} is no table of folders: move it away")
        rows = {str(row["folder"]): row for row in before.to_dict("records")} | rows
    write_table(path, pd.DataFrame([rows[name] for name in sorted(rows)]))

"""After a refactoring: a run of every way to adapt an encoder computed anew, and stamps renewed if it is the same."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..config import TextExperiment
from ..system.errors import Differs, UserError
from ..system.processes import Workers
from ..tables.journal import TABLE, Row, key_of
from ..tables.provenance import Stamp, device_name, own_commit, read_run, staleness, update_run
from ..tables.schema import load_frame
from .freshness import combine_task_stamps
from .result_kinds import KeptResults, TextResults
from .task_comparison import stamps_today
from .task_memory import MEMORY_NAMES, memory_journal
from .task_runs import NAMES, TaskRun, compute_run, journal_of

_COMPARED = ("validation", "score", "values", "task_bytes")


def _tasks_today(folder: Path) -> tuple[TextExperiment, dict[tuple[str, str], Stamp]]:
    kept = KeptResults(folder=folder, run=read_run(folder))
    experiment = kept.settings(kept.config, TextExperiment)
    TextResults().check(kept)
    return experiment, stamps_today(experiment)


def confirm_tasks(folder: Path, workers: int) -> str:
    """As `confirm`, of a comparison on text tasks."""
    experiment, stamps = _tasks_today(folder)
    told, current = read_run(folder).get("fingerprints") or {}, combine_task_stamps(stamps)
    reasons = {method: staleness(told.get(method), stamp) for method, stamp in current.items()}
    if not any(reasons.values()):
        return f"{folder}: all stamps are of today's code"
    if other := [method for method, why in reasons.items() if why == "of other settings or data"]:
        raise UserError(f"{folder}: rows of {other[0]} are of other settings or data: `pppl tasks` computes them again")
    task, seed = experiment.tasks[0], experiment.seeds[0]
    chosen = [row for row in _rows(folder) if row["chosen"] and (row["task"], row["seed"]) == (task, seed)]
    with tempfile.TemporaryDirectory() as scratch, Workers(workers) as pool:
        runs = [
            TaskRun(
                experiment=experiment,
                task=task,
                method=row["method"],
                learning_rate=row["learning_rate"],
                seed=seed,
                folder=Path(scratch),
                fingerprint=stamps[task, row["method"]],
            )
            for row in chosen
        ]
        for _ in pool.spread(compute_run, runs):
            pass
        rows = journal_of(Path(scratch), stamps).rows
    for run, before in zip(runs, chosen, strict=True):
        now = rows[run.key]
        for name in _COMPARED:
            if not _alike(now[name], before[name]):
                told = f"{name} of {run.method} on {task}, seed {seed}, is {now[name]!r} now"
                there = f"{before[name]!r} in the table; nothing renewed; this is {device_name()}"
                raise Differs(f"{folder}: {told}, {there}")
    restamp_tasks(folder)
    return f"{folder}: {len(runs)} runs of {len(runs)} methods are what they were; stamps renewed"


def restamp_tasks(folder: Path) -> None:
    """As `restamp`, of a comparison on text tasks."""
    _, stamps = _tasks_today(folder)
    commit = own_commit()
    update_run(folder, fingerprints=combine_task_stamps(stamps), confirmed_at=commit)
    _renew_journals(folder, stamps)


def _alike(value: Any, written: Any) -> bool:
    """Whether a table has a value so; none is like none."""
    if isinstance(value, str) or isinstance(written, str):
        return value == written
    return bool(round(value, 8) == written or (pd.isna(value) and pd.isna(written)))


def _rows(folder: Path) -> list[Row]:
    table = load_frame(folder / TABLE).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in table]


def _renew_journals(folder: Path, stamps: Mapping[tuple[str, str], Stamp]) -> None:
    """Add the rows of a comparison on tasks that its table has once more, with today's stamps."""
    table = _rows(folder)
    for journal, names in ((journal_of(folder, stamps), NAMES), (memory_journal(folder, stamps), MEMORY_NAMES)):
        if journal.path.exists():
            known = {key_of(row, names): row for row in table}
            lines = journal.path.read_text(encoding="utf-8").splitlines()
            if rows := [row for row in map(_row_of, lines) if row is not None and _is_of(row, known, names)]:
                journal.append(rows)


def _row_of(line: str) -> Row | None:
    """Return a line's row without its stamp; None of a broken line."""
    try:
        row = json.loads(line)
        del row["fingerprint"]
    except (ValueError, KeyError, TypeError):
        return None
    return row


def _is_of(row: Row, known: Mapping[tuple[Any, ...], Row], names: Sequence[str]) -> bool:
    """Whether a table's row has the same numbers."""
    told = known.get(tuple(row.get(name) for name in names), {})
    alike = [_alike(row[name], value) for name, value in told.items() if name in row and name not in names]
    return bool(alike) and all(alike)

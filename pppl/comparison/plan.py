"""The engine of every comparison: units of work are planned, computed by worker processes, kept, and made into tables.

Each kind of comparison is a `Plan`: `PersonPlan` for people, `TaskPlan` for text tasks.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pandas as pd

from ..config import Tree
from ..system.errors import UserError
from ..system.files import claim, remove
from ..system.processes import Workers
from ..system.tracking import notice, track
from ..tables.derived import Draw
from ..tables.journal import Journal, Row
from ..tables.provenance import Stamp, read_run, staleness, write_run

# How often the same units are computed before their rows must be in the journal. Another process that is killed within
# a line can damage a row of this one.
_ATTEMPTS = 2
Key = tuple[Any, ...]
Settings = TypeVar("Settings", bound=Tree)
Unit = TypeVar("Unit", bound="WorkUnit")


class WorkUnit(Protocol):
    """Work that is computed as a whole or not at all."""

    @property
    def keys(self) -> Sequence[Key]:
        """The keys of its rows."""
        ...


class Plan(ABC, Generic[Settings, Unit]):
    """The work of an experiment, and its finished rows.

    - `command`: the command of the command line.
    - `files`: the files that it writes, without figures.
    - `measured`: the columns that the same code reproduces on the same machine.
    - `journal`: the finished rows; `journals`: this one, and journals of other measurements.
    - `stamps`: what the rows of each method depend on, as `run.json` holds it.
    - `data_sha256`, `weights_sha256`: the hashes of the data, and of the weights that all networks start from.
    """

    command: ClassVar[str]
    files: ClassVar[tuple[str, ...]]
    measured: ClassVar[tuple[str, ...]]
    experiment: Settings
    journal: Journal
    journals: Sequence[Journal]
    stamps: Mapping[str, Stamp]
    data_sha256: str | dict[str, str]
    weights_sha256: str

    @property
    def folder(self) -> Path:
        """The results folder."""
        return self.journal.path.parent

    @abstractmethod
    def refuse_others(self) -> None:
        """Raise `UserError` if the folder holds results of another command or on other data."""

    @abstractmethod
    def due(self) -> Sequence[Unit]:
        """Return the units to compute next; none if every row is there."""

    @abstractmethod
    def sample(self, table: Sequence[Row], count: int) -> Sequence[Unit]:
        """Return a few units with rows of every method in a finished `table`; `count` of each group of persons."""

    @abstractmethod
    def compute(self, units: Sequence[Unit], pool: Workers) -> None:
        """Compute units in worker processes, which append rows to the journal."""

    @abstractmethod
    def write_tables(self, *, anew: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Write all tables, and return the rows and their summary.

        **Arguments:**

        - `anew`: whether rows were computed. If not, files that take long to compute are kept.
        """

    @abstractmethod
    def facts(self, table: pd.DataFrame, computed: Sequence[Unit]) -> dict[str, Any]:
        """Return the entries of `run.json` that only this kind of comparison has."""

    @abstractmethod
    def name_row(self, row: Row) -> str:
        """Return a row's name for messages."""

    def headline(self, summary: pd.DataFrame) -> dict[str, float]:
        """Return single values for W&B's table of runs."""
        return {}

    def adopt(self) -> None:
        """Add the rows of a finished table that came without its journal, if tables of this kind have whole rows."""
        return

    def read(self) -> None:
        """Read the rows that workers have finished."""
        for journal in self.journals:
            journal.read()

    def stale_keys(self) -> Iterable[Key]:
        """Return the keys of rows that are computed again although the journal has them."""
        return self.journal.stale

    def finish(self, pool: Workers) -> list[Unit]:
        """Compute all missing units and return them. Raise `UserError` if some rows cannot be stored."""
        if self.journal.broken:
            path, broken = self.journal.path, self.journal.broken
            notice(f"{path} has {broken} broken lines, which a killed process leaves; their rows are computed again")
        computed: list[Unit] = []
        attempts, before = 0, []
        while units := self.due():
            keys = [unit.keys for unit in units]
            attempts = attempts + 1 if keys == before else 1
            if attempts > _ATTEMPTS:
                path = self.journal.path
                raise UserError(f"{path} could not take all rows; free some space and run the same command again")
            self.compute(units, pool)
            self.read()
            computed += units
            before = keys
        return computed


def run_plan(plan: Plan[Any, Any], *, workers: int, draw: Draw) -> pd.DataFrame:
    """Compute the missing rows of a plan, write tables, `run.json` and figures, and return the summary.

    If nothing is missing, only tables and figures are written again.
    """
    start = time.perf_counter()
    folder, config = plan.folder, plan.experiment.to_dict()
    plan.refuse_others()
    claim([folder / name for name in plan.files])
    plan.adopt()
    run = read_run(folder)
    if (run.get("config"), run.get("fingerprints")) == (config, plan.stamps) and not plan.due():
        _, summary = plan.write_tables(anew=False)
        draw(folder)
        return summary
    report_stale(plan.journal, plan.stale_keys())
    names = {"group": plan.experiment.name, "name": plan.command, "job_type": plan.command}
    with track(folder, plan.experiment.tracking, **names, config=config) as tracker:
        with Workers(workers) as pool:
            computed = plan.finish(pool)
        remove(folder / "run.json")  # `run.json` must not describe older tables
        table, summary = plan.write_tables(anew=True)
        work = {"wall_seconds": round(time.perf_counter() - start, 1), "workers": workers}
        work |= {**plan.facts(table, computed), "fingerprints": plan.stamps}
        write_run(folder, config, plan.data_sha256, weights_sha256=plan.weights_sha256, **work)
        figures = draw(folder)
        tracker.table("table", table)
        tracker.table("summary", summary)
        tracker.summary(plan.headline(summary))
        for path in figures:
            tracker.image(path.stem, path)
    return summary


def report_stale(journal: Journal, keys: Iterable[Key]) -> None:
    """Report how many finished rows of these keys are computed again, and why."""
    stale, folder, method_column = journal.stale, journal.path.parent, journal.names.index("method")
    reasons: dict[str, list[str]] = {}
    for key in keys:
        if key in stale and key not in journal.rows:
            reasons.setdefault(stale[key], []).append(str(key[method_column]))
    lines = [f"{len(methods)} {why} ({', '.join(dict.fromkeys(methods))})" for why, methods in reasons.items()]
    if lines:
        notice(
            f"{sum(map(len, reasons.values()))} rows in {folder} are stale and computed again: {'; '.join(lines)}; "
            f"after a refactoring `pppl results confirm {folder}` renews their stamp instead"
        )


def stale_methods(before: Mapping[str, object], today: Mapping[str, Stamp]) -> dict[str, list[str]]:
    """Return the methods whose stamps are not today's, by the reason."""
    reasons: dict[str, list[str]] = {}
    for method, stamp in before.items():
        reason = staleness(stamp, today[method]) if method in today else "of settings that are gone"
        if reason:
            reasons.setdefault(reason, []).append(method)
    return reasons

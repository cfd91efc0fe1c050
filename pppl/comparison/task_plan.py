"""The comparison of ways to adapt one encoder: the same tasks and epochs for all, and the same search."""

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ..config import TextExperiment
from ..system import progress
from ..system.errors import UserError, unknown
from ..system.files import output_folder
from ..system.plugins import load_plugins
from ..system.processes import Workers
from ..system.tracking import notice
from ..tables.journal import TABLE, Row, key_of, write_table
from ..tables.task_statistics import Scoring, summarize_tasks
from ..text.encoder import TextClassifier
from ..text.metrics import METRICS
from ..text.text_methods import TEXT_METHODS
from ..text.text_tasks import task_names
from .folders import refuse_other_tasks
from .freshness import combine_task_stamps, task_stamps
from .plan import Plan
from .stream import replay
from .task_memory import MEMORY_NAMES, MemoryRun, memory_journal
from .task_search import RateSearch
from .task_units import NAMES, TaskRun, compute_unit, encoder_sha256, journal_of, prepared_task

COLUMNS = (
    *NAMES,
    *("tried", "chosen", "metric", "validation", "score"),
    *("values", "task_bytes", "peak_memory_mib", "train_seconds"),
)


class TaskPlan(Plan[TextExperiment, TaskRun | MemoryRun]):
    """The plan of an experiment on text tasks whose results are in `out`.

    **Arguments:**

    - `report`: whether to report the contents of the user's own files.

    Raise `UserError` for an unknown task or method, an encoder that cannot be loaded, or a folder that cannot be
    written to.
    """

    command = "tasks"
    files = (TABLE, "table.csv", "summary.csv", "stream.csv", "run.json")
    measured = ("validation", "score", "values", "task_bytes")

    def __init__(self, experiment: TextExperiment, out: str | Path, *, report: bool = False):
        load_plugins(experiment.plugins)  # which may have changed since the experiment was read
        check_text_settings(experiment)
        prepared_task.cache_clear()  # files may have changed since an earlier call
        self.experiment = experiment
        self.prepared = {
            name: prepared_task(experiment.encoder, name, experiment.examples, experiment.columns)
            for name in experiment.tasks
        }
        for prepared in self.prepared.values() if report else ():
            for line in prepared.task.about:
                notice(line)
        encoder = TextClassifier(experiment.encoder, 1).encoder
        for method in experiment.methods:
            TEXT_METHODS[method].check(encoder, experiment.rate)
        self.weights_sha256 = encoder_sha256(experiment.encoder)
        self.data_sha256 = {name: prepared.sha256 for name, prepared in self.prepared.items()}
        self._stamps = task_stamps(experiment, self.prepared, self.weights_sha256)
        self.stamps = combine_task_stamps(self._stamps)
        folder = output_folder(out)
        self.journal, self.memory = journal_of(folder, self._stamps), memory_journal(folder, self._stamps)
        self.journals = (self.journal, self.memory)
        self.search = RateSearch(experiment, self.journal, self._stamps)

    def refuse_others(self) -> None:
        """Raise `UserError` if the folder holds results of another command, on other texts or on other tasks."""
        refuse_other_tasks(self.folder, {name: prepared.sha256 for name, prepared in self.prepared.items()})

    def due(self) -> Sequence[TaskRun | MemoryRun]:
        """Return the runs of the search; then those of the best learning rates, lost deltas and peak memory."""
        return (
            self.search.missing(self.search.runs())
            or self.search.missing(self.search.chosen())
            or [run for run in self._stream() if not run.delta_path.exists()]
            or [run for run in self._memory_runs() if not self.memory.has(run.keys)]
        )

    def _memory_runs(self) -> list[MemoryRun]:
        return [
            MemoryRun(experiment=self.experiment, task=task, method=method, folder=self.folder, fingerprint=stamp)
            for (task, method), stamp in self._stamps.items()
        ]

    def sample(self, table: Sequence[Row], count: int) -> list[TaskRun]:
        """Return the runs of the first task with the first seed, at the learning rates that were chosen."""
        task, seed = self.experiment.tasks[0], self.experiment.seeds[0]
        return [
            TaskRun(
                experiment=self.experiment,
                task=task,
                method=row["method"],
                learning_rate=row["learning_rate"],
                seed=seed,
                folder=self.folder,
                fingerprint=self._stamps[task, row["method"]],
            )
            for row in table
            if row["chosen"] and (row["task"], row["seed"]) == (task, seed)
        ]

    def compute(self, units: Sequence[TaskRun | MemoryRun], pool: Workers) -> None:
        """Compute runs in worker processes."""
        name = "memory" if isinstance(units[0], MemoryRun) else "runs"
        for _ in progress.bar(pool.spread(compute_unit, units), total=len(units), desc=name):
            pass

    def write_tables(self, *, anew: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Write the table, `summary.csv` and, if diff pruning takes part, `stream.csv`."""
        chosen = {key for run in self.search.chosen() for key in run.keys}
        runs = [*self.search.runs(), *self.search.chosen()]
        rows = [self._row(key) | {"chosen": key in chosen} for key in dict.fromkeys(run.key for run in runs)]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        summary = summarize_tasks([row for row in rows if row["chosen"]], self._scoring())
        write_table(self.folder / TABLE, table)
        write_table(self.folder / "summary.csv", summary)
        if anew:
            self.search.report_ends()
            self._write_stream()
        return table, summary

    def _scoring(self) -> dict[str, Scoring]:
        return {
            name: Scoring(targets=prepared.test.targets.numpy(), metric=METRICS[prepared.task.metric])
            for name, prepared in self.prepared.items()
        }

    def _row(self, key: tuple[Any, ...]) -> Row:
        """Return a run's row with its peak memory; `tried` counts the learning rates of the method's search."""
        row = self.journal.rows[key]
        memory = self.memory.rows[key_of(row, MEMORY_NAMES)]
        return row | memory | {"tried": len(self.search.factors(row["task"], row["method"]))}

    def _stream(self) -> list[TaskRun]:
        """Return the runs of diff pruning with the first seed that have not diverged."""
        first = self.experiment.seeds[0]
        runs = [run for run in self.search.chosen() if run.method == "diff" and run.seed == first]
        return [run for run in runs if not math.isnan(self.journal.rows[run.key]["validation"])]

    def _write_stream(self) -> None:
        if runs := self._stream():
            rows = [self.journal.rows[run.key] for run in runs]
            deltas = {run.task: run.delta_path for run in runs}
            write_table(self.folder / "stream.csv", replay(self.experiment.encoder, rows, deltas, self.prepared))

    def facts(self, table: pd.DataFrame, computed: Sequence[TaskRun | MemoryRun]) -> dict[str, Any]:
        """Return how many runs there are, and how many were computed now."""
        return {"runs": len(table), "runs_computed": sum(isinstance(unit, TaskRun) for unit in computed)}

    def name_row(self, row: Row) -> str:
        """Return method, task and seed."""
        return f"{row['method']} on {row['task']}, seed {row['seed']}"


def check_text_settings(experiment: TextExperiment) -> None:
    """Raise `UserError`, before anything is read, for an unknown name, or if there is no compiler to compile with."""
    for method in experiment.methods:
        TEXT_METHODS.find(method)
    for task in experiment.epochs_of:
        if task not in experiment.tasks and task not in task_names():  # a file may name more tasks than are run
            raise unknown("task in epochs_of", task, experiment.tasks)
    compilers = ("g++", "clang++", os.environ.get("CXX", "c++"))
    if experiment.compiled and not torch.cuda.is_available() and not any(map(shutil.which, compilers)):
        raise UserError("compiled is true, but there is no C++ compiler: install g++, or set compiled to false")

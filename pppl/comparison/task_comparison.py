"""Every way to adapt one encoder, on the same tasks, for the same epochs, searched alike: one row per run."""

import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ..config import TextExperiment
from ..system import progress
from ..system.errors import UserError, unknown
from ..system.files import claim, output_folder
from ..system.processes import Workers
from ..system.tracking import notice, track
from ..tables.derived import Draw, draw_nothing
from ..tables.journal import TABLE, Row, key_of, write_table
from ..tables.provenance import Stamp, read_run, write_run
from ..tables.task_statistics import Scoring, summarize_tasks
from ..text.encoder import TextClassifier
from ..text.metrics import METRICS
from ..text.text_methods import METHODS
from ..text.text_tasks import task_names
from .folders import refuse_other_tasks
from .freshness import combine_task_stamps, report_stale, task_stamps
from .stream import replay
from .task_memory import MEMORY_NAMES, MemoryRun, measure_memory, memory_journal
from .task_runs import NAMES, TaskRun, compute_run, encoder_sha256, journal_of, prepared_task

# What is written besides figures.
_FILES = (TABLE, "table.csv", "summary.csv", "stream.csv", "run.json")
COLUMNS = (
    *NAMES,
    *("tried", "chosen", "metric", "validation", "score"),
    *("values", "task_bytes", "peak_memory_mib", "train_seconds"),
)


def compare_tasks(
    experiment: TextExperiment, out: str | Path | None = None, *, workers: int = 1, draw: Draw = draw_nothing
) -> pd.DataFrame:
    """Run a comparison on text tasks and return its summary; `out` receives tables, `run.json` and what `draw` draws.

    Rows that an earlier call with the same configuration finished are not computed again.

    **Arguments:**

    - `out`: the results folder; `results/<name>` by default.
    - `workers`: processes that runs are spread over, with one thread each.
    - `draw`: what draws figures of the folder's tables.

    Raises `UserError` for an unknown task or method, an encoder that cannot be loaded, or a folder that cannot be
    written.
    """
    start = time.perf_counter()
    _check(experiment)
    prepared_task.cache_clear()  # files may have changed since an earlier call
    plan = _TaskPlan(experiment, output_folder(out if out is not None else Path("results") / experiment.name))
    data = {name: prepared.sha256 for name, prepared in plan.prepared.items()}
    refuse_other_tasks(plan.folder, data)
    claim([plan.folder / name for name in _FILES])
    config = experiment.to_dict()
    run = read_run(plan.folder)
    if plan.whole() and (run.get("config"), run.get("fingerprints")) == (config, plan.stamps):
        _, summary = plan.write_tables()
        draw(plan.folder)
        return summary
    plan.tell_stale()
    with track(plan.folder, group=experiment.name, name="tasks", job_type="tasks", config=config) as tracker:
        computed = 0
        while missing := plan.missing(plan.search()):  # that of some methods goes on beyond its end
            computed += _compute(missing, workers)
            plan.read()
        plan.tell_ends()
        computed += _compute(plan.missing(plan.chosen()), workers)
        plan.read()
        computed += _compute([run for run in plan.stream() if not run.delta_path.exists()], workers)
        _spread(measure_memory, plan.unmeasured(), workers, "memory")
        plan.read()
        table, summary = plan.write_tables()
        plan.write_stream()
        work = {"wall_seconds": round(time.perf_counter() - start, 1), "workers": workers, "runs_computed": computed}
        work |= {"fingerprints": plan.stamps}
        write_run(plan.folder, config, data, weights_sha256=plan.encoder_sha256, runs=len(table), **work)
        figures = draw(plan.folder)
        tracker.table("table", table)
        tracker.table("summary", summary)
        for path in figures:
            tracker.image(path.stem, path)
    return summary


def _check(experiment: TextExperiment) -> None:
    for method in experiment.methods:
        if method not in METHODS:
            raise unknown("method", method, METHODS)
    for task in experiment.epochs_of:
        if task not in experiment.tasks and task not in task_names():  # fewer tasks may be run than a file tells of
            raise unknown("task in epochs_of", task, experiment.tasks)
    compilers = ("g++", "clang++", os.environ.get("CXX", "c++"))
    if experiment.compiled and not torch.cuda.is_available() and not any(map(shutil.which, compilers)):
        raise UserError("compiled is true, but there is no C++ compiler: install g++, or set compiled to false")


def stamps_today(experiment: TextExperiment) -> dict[tuple[str, str], Stamp]:
    """The stamp of each task and method. Raises `UserError` where texts or the encoder cannot be read."""
    prepared = {name: prepared_task(experiment.encoder, name, experiment.examples) for name in experiment.tasks}
    return task_stamps(experiment, prepared, encoder_sha256(experiment.encoder))


class _TaskPlan:
    """What is to be run, and what of it is there."""

    def __init__(self, experiment: TextExperiment, folder: Path):
        self.experiment, self.folder = experiment, folder
        self.prepared = {
            name: prepared_task(experiment.encoder, name, experiment.examples) for name in experiment.tasks
        }
        for prepared in self.prepared.values():
            for line in prepared.task.about:
                notice(line)
        network = TextClassifier(experiment.encoder, 1)
        self.encoder_sha256 = encoder_sha256(experiment.encoder)
        for method in experiment.methods:
            METHODS[method].check(network.encoder, experiment.rate)
        self._fingerprints = stamps_today(experiment)
        self.stamps = combine_task_stamps(self._fingerprints)
        self._journal = journal_of(folder, self._fingerprints)
        self._memory = memory_journal(folder, self._fingerprints)

    def tell_stale(self) -> None:
        """Says how many rows there are that are computed again all the same, and why."""
        report_stale(self._journal, self._journal.stale)

    def read(self) -> None:
        """Takes in what workers have finished."""
        self._journal.read()
        self._memory.read()

    def missing(self, runs: Iterable[TaskRun]) -> list[TaskRun]:
        """Those without a row."""
        return [run for run in runs if not self._journal.has([run.key])]

    def whole(self) -> bool:
        """Whether nothing is left to run."""
        return not self.missing(self.search()) and not self.missing(self.chosen()) and not self.unmeasured()

    def unmeasured(self) -> list[MemoryRun]:
        """Tasks and methods whose memory is not measured yet."""
        runs = [
            MemoryRun(experiment=self.experiment, task=task, method=method, folder=self.folder, fingerprint=fingerprint)
            for (task, method), fingerprint in self._fingerprints.items()
        ]
        return [run for run in runs if not self._memory.has([run.key])]

    def search(self) -> list[TaskRun]:
        """Every learning rate with the first seed, as far as is known by now."""
        return [
            self._run(task, method, factor, self.experiment.seeds[0])
            for task in self.experiment.search_tasks or self.experiment.tasks
            for method in self.experiment.methods
            for factor in self._factors(task, method)
        ]

    def chosen(self) -> list[TaskRun]:
        """Every seed with the learning rate that was best on validation examples; of equals, the first."""
        return [
            self._run(task, method, self._best_factor(task, method), seed)
            for seed in self.experiment.seeds
            for task in self.experiment.tasks
            for method in self.experiment.methods
        ]

    def _factors(self, task: str, method: str) -> list[float]:
        """What is tried of a method's learning rate: `search`, and beyond it where the best is at its end."""
        factors = list(self.experiment.search)
        for _ in range(self.experiment.beyond if len(factors) > 2 else 0):
            ordered = sorted(factors)
            scores = [self._validation(task, method, factor) for factor in ordered]
            known = [score for score in scores if score is not None]
            if len(known) < len(ordered):
                break
            for end, neighbour in ((0, 1), (-1, -2)):
                if known[end] == max(known):
                    factors.append(ordered[end] ** 2 / ordered[neighbour])
                    break
        return factors

    def _best_factor(self, task: str, method: str) -> float:
        def score(factor: float) -> float:
            validation = self._validation(task, method, factor)
            return -math.inf if validation is None else validation

        return max(self._factors(task, method), key=score)

    def _validation(self, task: str, method: str, factor: float) -> float | None:
        """Mean score over the tasks that are searched together; None where it is not computed yet."""
        tasks, first = self.experiment.search_tasks or (task,), self.experiment.seeds[0]
        keys = [self._run(each, method, factor, first).key for each in tasks]
        if not self._journal.has(keys):
            return None
        mean = sum(self._journal.rows[key]["validation"] for key in keys) / len(keys)
        return -math.inf if math.isnan(mean) else mean

    def tell_ends(self) -> None:
        """Names the methods whose best learning rate is the least or the largest of three or more that were tried."""
        together = self.experiment.search_tasks
        for task, method in product(self.experiment.tasks[: 1 if together else None], self.experiment.methods):
            best, tried = self._best_factor(task, method), self._factors(task, method)
            if len(tried) > 2 and best in (min(tried), max(tried)):
                where = ", ".join(together or (task,))
                notice(f"{method} on {where}: the best learning rate is an end of those tried, {best:g} times its own")

    def _run(self, task: str, method: str, factor: float, seed: int) -> TaskRun:
        return TaskRun(
            experiment=self.experiment,
            task=task,
            method=method,
            learning_rate=float(f"{METHODS[method].learning_rate * factor:.6g}"),
            seed=seed,
            folder=self.folder,
            fingerprint=self._fingerprints[task, method],
        )

    def write_tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Writes `table.csv.gz` and `summary.csv` and returns them."""
        chosen = [run.key for run in self.chosen()]
        keys = dict.fromkeys([*(run.key for run in self.search()), *chosen])
        rows = [self._row(key) | {"chosen": key in chosen} for key in keys]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        summary = summarize_tasks([row for row in rows if row["chosen"]], self._tests())
        write_table(self.folder / TABLE, table)
        write_table(self.folder / "summary.csv", summary)
        return table, summary

    def _tests(self) -> dict[str, Scoring]:
        return {
            name: Scoring(targets=each.test.targets.numpy(), metric=METRICS[each.task.metric])
            for name, each in self.prepared.items()
        }

    def _row(self, key: tuple[Any, ...]) -> Row:
        """With what was measured apart; `tried` counts the learning rates of the method's search."""
        row = self._journal.rows[key]
        memory = self._memory.rows[key_of(row, MEMORY_NAMES)]
        return row | memory | {"tried": len(self._factors(row["task"], row["method"]))}

    def stream(self) -> list[TaskRun]:
        """Those whose deltas `stream.csv` needs: of diff pruning, where it takes part and has not diverged."""
        runs = [run for run in self.chosen() if run.method == "diff" and run.seed == self.experiment.seeds[0]]
        return [run for run in runs if not math.isnan(self._journal.rows[run.key]["validation"])]

    def write_stream(self) -> None:
        """Writes `stream.csv` where diff pruning takes part."""
        runs = self.stream()
        if runs:
            rows = [self._journal.rows[run.key] for run in runs]
            files = {run.task: run.delta_path for run in runs}
            stream = replay(self.experiment.encoder, rows, files, self.prepared)
            write_table(self.folder / "stream.csv", stream)


def _compute(runs: Sequence[TaskRun], workers: int) -> int:
    _spread(compute_run, runs, workers, "runs")
    return len(runs)


def _spread(function: Callable[[Any], None], tasks: Sequence[Any], workers: int, name: str) -> None:
    if tasks:
        with Workers(min(workers, len(tasks))) as pool:
            for _ in progress.bar(pool.spread(function, tasks), total=len(tasks), desc=name):
                pass

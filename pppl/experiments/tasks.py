"""Every way to adapt one encoder, on the same tasks, for the same epochs, searched alike: one row per run."""

import os
import re
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch
from tqdm.auto import tqdm

from ..config import TaskExperiment
from ..diff import base_sha256, write_delta
from ..errors import UserError, unknown
from ..figures import render
from ..files import output_folder
from ..text.adapt import Prepared, adapt, evaluate, prepare
from ..text.encoder import TextClassifier
from ..text.methods import METHODS
from ..text.tasks import task_names
from .memory import PeakMemory
from .provenance import fingerprint, read_config, write_run
from .results import Journal, Row, write_table
from .stream import replay
from .task_statistics import summarize_tasks
from .tracking import track
from .workers import Workers

# Raised when a change makes rows of an earlier version differ from what would be computed now.
_VERSION = "1"
NAMES = ("task", "encoder", "method", "rate", "learning_rate", "seed")
COLUMNS = (
    *NAMES,
    *("chosen", "metric", "validation", "score", "values", "task_bytes", "peak_memory_mib", "train_seconds"),
)


def compare_tasks(experiment: TaskExperiment, out: str | Path | None = None, *, workers: int = 1) -> pd.DataFrame:
    """Runs a comparison on text tasks and returns its summary; `out` receives tables, `run.json` and figures.

    Rows that an earlier call with the same configuration finished are not computed again.

    **Arguments:**

    - `out`: the results folder; `results/<name>` by default.
    - `workers`: processes that runs are spread over, with one thread each.

    Raises `UserError` for an unknown task or method, an encoder that cannot be loaded, or a folder that cannot be
    written.
    """
    start = time.perf_counter()
    _check(experiment)
    _prepared.cache_clear()  # files may have changed since an earlier call
    plan = _Plan(experiment, output_folder(out if out is not None else Path("results") / experiment.name))
    config = experiment.to_dict()
    if plan.whole() and read_config(plan.folder) == config:
        _, summary = plan.write_tables()
        render(plan.folder)
        return summary
    with track(plan.folder, group=experiment.name, name="tasks", job_type="tasks", config=config) as tracker:
        computed = _compute(plan.missing(plan.search()), workers)
        plan.read()
        computed += _compute(plan.missing(plan.chosen()), workers)
        plan.read()
        table, summary = plan.write_tables()
        plan.write_stream()
        data = {name: prepared.sha256 for name, prepared in plan.prepared.items()}
        work = {"wall_seconds": round(time.perf_counter() - start, 1), "workers": workers, "runs_computed": computed}
        write_run(plan.folder, config, data, weights_sha256=plan.encoder_sha256, runs=len(table), **work)
        figures = render(plan.folder)
        tracker.table("table", table)
        tracker.table("summary", summary)
        for path in figures:
            tracker.image(path.stem, path)
    return summary


def _check(experiment: TaskExperiment) -> None:
    for method in experiment.methods:
        if method not in METHODS:
            raise unknown("method", method, METHODS)
    for task in experiment.epochs_of:
        if task not in experiment.tasks and task not in task_names():  # fewer tasks may be run than a file tells of
            raise unknown("task in epochs_of", task, experiment.tasks)
    compilers = ("g++", "clang++", os.environ.get("CXX", "c++"))
    if experiment.compiled and not torch.cuda.is_available() and not any(map(shutil.which, compilers)):
        raise UserError("compiled is true, but there is no C++ compiler: install g++, or set compiled to false")


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One row, as a task for a worker."""

    experiment: TaskExperiment
    task: str
    method: str
    learning_rate: float
    seed: int
    folder: Path
    fingerprint: str

    @property
    def key(self) -> tuple[str | float, ...]:
        """In the order of `NAMES`."""
        return self.task, self.experiment.encoder, self.method, self.experiment.rate, self.learning_rate, self.seed

    @property
    def delta_path(self) -> Path:
        """Where the delta goes, of a method that makes one."""
        name = f"{self.method}-{self.task}-{self.learning_rate:g}-{self.seed}-{self.fingerprint}"
        return self.folder / "deltas" / f"{re.sub('[^A-Za-z0-9.]+', '-', name)}.safetensors"


class _Plan:
    """What is to be run, and what of it is there."""

    def __init__(self, experiment: TaskExperiment, folder: Path):
        self.experiment, self.folder = experiment, folder
        self.prepared = {name: prepared_task(experiment, name) for name in experiment.tasks}
        network = TextClassifier(experiment.encoder, 1)
        self.encoder_sha256 = base_sha256(network, [f"encoder.{n}" for n, _ in network.encoder.named_parameters()])
        self._journals = {name: Journal(folder, self._fingerprint(name), NAMES) for name in experiment.tasks}

    def _fingerprint(self, task: str) -> str:
        """Hash of all that a row of this task depends on besides its keys."""
        in_the_row = {"name", "tasks", "encoder", "methods", "rate", "search", "search_tasks", "seeds", "epochs_of"}
        tree = {key: value for key, value in self.experiment.to_dict().items() if key not in in_the_row}
        tree["epochs"] = self.experiment.epochs_on(task)
        return fingerprint([_VERSION, self.prepared[task].sha256, self.encoder_sha256, tree])

    def read(self) -> None:
        """Takes in what workers have finished."""
        for journal in self._journals.values():
            journal.read()

    def missing(self, runs: Iterable[_Run]) -> list[_Run]:
        """Those without a row."""
        return [run for run in runs if not self._journals[run.task].has([run.key])]

    def whole(self) -> bool:
        """Whether nothing is left to run."""
        return not self.missing(self.search()) and not self.missing(self.chosen())

    def search(self) -> list[_Run]:
        """Every learning rate with the first seed."""
        return [
            self._run(task, method, factor, self.experiment.seeds[0])
            for task in self.experiment.search_tasks or self.experiment.tasks
            for method in self.experiment.methods
            for factor in self.experiment.search
        ]

    def chosen(self) -> list[_Run]:
        """Every seed with the learning rate that was best on validation examples; of equals, the first."""
        return [
            self._run(task, method, self._best_factor(task, method), seed)
            for seed in self.experiment.seeds
            for task in self.experiment.tasks
            for method in self.experiment.methods
        ]

    def _best_factor(self, task: str, method: str) -> float:
        tasks, first = self.experiment.search_tasks or (task,), self.experiment.seeds[0]

        def validation(factor: float) -> float:
            runs = [self._run(each, method, factor, first) for each in tasks]
            return sum(self._journals[run.task].rows[run.key]["validation"] for run in runs) / len(runs)

        return max(self.experiment.search, key=validation)

    def _run(self, task: str, method: str, factor: float, seed: int) -> _Run:
        return _Run(
            experiment=self.experiment,
            task=task,
            method=method,
            learning_rate=float(f"{METHODS[method].learning_rate * factor:.6g}"),
            seed=seed,
            folder=self.folder,
            fingerprint=self._journals[task].fingerprint,
        )

    def write_tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Writes `table.csv` and `summary.csv` and returns them."""
        chosen = {run.key: run for run in self.chosen()}
        every = {run.key: run for run in [*self.search(), *chosen.values()]}
        rows = [self._journals[run.task].rows[key] | {"chosen": key in chosen} for key, run in every.items()]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        summary = summarize_tasks([row for row in rows if row["chosen"]], self.prepared)
        write_table(self.folder / "table.csv", table)
        write_table(self.folder / "summary.csv", summary)
        return table, summary

    def write_stream(self) -> None:
        """Writes `stream.csv` where diff pruning takes part."""
        runs = [run for run in self.chosen() if run.method == "diff" and run.seed == self.experiment.seeds[0]]
        if runs:
            rows = [self._journals[run.task].rows[run.key] for run in runs]
            files = {run.task: run.delta_path for run in runs}
            stream = replay(self.experiment.encoder, rows, files, self.prepared)
            write_table(self.folder / "stream.csv", stream)


@lru_cache(maxsize=8)
def _prepared(encoder: str, task: str, examples: int) -> Prepared:
    return prepare(encoder, task, examples)


def prepared_task(experiment: TaskExperiment, task: str) -> Prepared:
    """A task's tokens; kept for the runs that follow in this process."""
    return _prepared(experiment.encoder, task, experiment.examples)


def _compute(runs: Sequence[_Run], workers: int) -> int:
    if not runs:
        return 0
    with Workers(min(workers, len(runs))) as pool:
        for _ in tqdm(pool.spread(_compute_run, runs), total=len(runs), desc="runs", unit="run", disable=None):
            pass
    return len(runs)


def _compute_run(run: _Run) -> None:
    """Computes a row and appends it to the journal."""
    prepared = prepared_task(run.experiment, run.task)
    start = time.perf_counter()
    with PeakMemory() as memory:
        network, adapted = adapt(run.experiment, prepared, run.method, learning_rate=run.learning_rate, seed=run.seed)
    seconds = time.perf_counter() - start
    metric, adapter = prepared.task.metric, adapted.adapter
    validation, _ = evaluate(network, metric, prepared.validation, adapter)
    score, outputs = evaluate(network, metric, prepared.test, adapter)
    if adapted.delta is not None:
        write_delta(run.delta_path, adapted.delta)
    predicted = outputs.argmax(1) if prepared.task.labels else outputs[:, 0]
    row: Row = dict(zip(NAMES, run.key, strict=True)) | {
        "metric": metric,
        "validation": validation,
        "score": score,
        "values": adapted.values,
        "task_bytes": adapted.bytes,
        "peak_memory_mib": memory.bytes / 2**20,
        "train_seconds": seconds,
        "predicted": predicted.tolist(),
    }
    Journal(run.folder, run.fingerprint, NAMES).append([row])

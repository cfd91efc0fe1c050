"""One run of a comparison on tasks: a method, a task, a learning rate and a seed make a row."""

import math
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config import TextExperiment
from ..diff import base_sha256, write_delta
from ..system.errors import Diverged
from ..system.tracking import notice
from ..tables.journal import Journal, Row
from ..tables.provenance import Stamp, fingerprint
from ..text.adapt import Prepared, adapt, evaluate, prepare
from ..text.encoder import TextClassifier
from ..text.metrics import score as score_of

NAMES = ("task", "encoder", "method", "rate", "learning_rate", "seed")


@dataclass(frozen=True, kw_only=True)
class TaskRun:
    """One row, as a task for a worker."""

    experiment: TextExperiment
    task: str
    method: str
    learning_rate: float
    seed: int
    folder: Path
    fingerprint: Stamp

    @property
    def key(self) -> tuple[str | float, ...]:
        """In the order of `NAMES`."""
        return self.task, self.experiment.encoder, self.method, self.experiment.rate, self.learning_rate, self.seed

    @property
    def delta_path(self) -> Path:
        """Where the delta goes, of a method that makes one."""
        name = re.sub("[^A-Za-z0-9]+", "-", f"{self.method}-{Path(self.task).stem}-{self.seed}")
        return self.folder / "deltas" / f"{name}-{fingerprint([self.fingerprint['settings'], *self.key])}.safetensors"


@lru_cache(maxsize=16)
def prepared_task(encoder: str, task: str, examples: int) -> Prepared:
    """As `prepare`; kept for the runs that follow in this process."""
    return prepare(encoder, task, examples)


def encoder_sha256(encoder: str) -> str:
    """Hash of an encoder's weights. Raises `UserError` where it cannot be loaded."""
    return base_sha256(TextClassifier(encoder, 1).encoder)


def compute_run(run: TaskRun) -> None:
    """Computes a row and appends it to the journal."""
    prepared = prepared_task(run.experiment.encoder, run.task, run.experiment.examples)
    _warm_up(run)
    try:
        measured = measured_run(run, prepared)
    except Diverged:
        notice(f"{run.method} on {run.task} diverged at a learning rate of {run.learning_rate:g}, seed {run.seed}")
        measured = diverged_run(prepared)
    row = dict(zip(NAMES, run.key, strict=True)) | {"metric": prepared.task.metric} | measured
    journal_of(run.folder, {(run.task, run.method): run.fingerprint}).append([row])


def journal_of(folder: Path, fingerprints: Mapping[tuple[str, str], Stamp], **options: Any) -> Journal:
    """Finished rows of a results folder, whose fingerprints are those of a task and a method."""
    return Journal(folder, fingerprints, by=itemgetter("task", "method"), **{"names": NAMES, **options})


_warm: set[tuple[str, str, str, bool]] = set()


def _warm_up(run: TaskRun) -> None:
    """Trains a few steps before anything is timed, once in a process, so that no row pays for imports and compiling."""
    experiment = run.experiment
    key = (run.method, experiment.encoder, experiment.precision, experiment.compiled)
    if key not in _warm:
        few = experiment.replace(examples=2 * experiment.batch_size, epochs=2, epochs_of={})
        prepared = prepared_task(few.encoder, run.task, few.examples)
        with suppress(Diverged):
            adapt(few, prepared, run.method, learning_rate=run.learning_rate, seed=run.seed)
        _warm.add(key)


def measured_run(run: TaskRun, prepared: Prepared) -> Row:
    """What comes of a run. Raises `Diverged`."""
    start = time.perf_counter()
    network, adapted = adapt(run.experiment, prepared, run.method, learning_rate=run.learning_rate, seed=run.seed)
    seconds = time.perf_counter() - start
    metric, adapter = prepared.task.metric, adapted.adapter
    validation, _ = evaluate(network, metric, prepared.validation, adapter)
    score, outputs = evaluate(network, metric, prepared.test, adapter)
    if not bool(outputs.isfinite().all()):
        raise Diverged("outputs")
    if adapted.delta is not None:
        write_delta(run.delta_path, adapted.delta)
    return {
        "validation": validation,
        "score": score,
        "values": adapted.values,
        "task_bytes": adapted.bytes,
        "train_seconds": seconds,
        "predicted": _predicted(prepared, outputs),
    }


def diverged_run(prepared: Prepared) -> Row:
    """No validation score, so that a search takes another; and what a network says that says always the same."""
    outputs = torch.zeros(len(prepared.test.rows), prepared.task.outputs)
    constant = score_of(prepared.task.metric, prepared.test.targets.numpy(), outputs.numpy())
    missing = dict.fromkeys(("validation", "values", "task_bytes", "train_seconds"), math.nan)
    return missing | {"score": constant, "predicted": _predicted(prepared, outputs)}


def _predicted(prepared: Prepared, outputs: Tensor) -> list[float]:
    return (outputs.argmax(1) if prepared.task.labels else outputs[:, 0]).tolist()

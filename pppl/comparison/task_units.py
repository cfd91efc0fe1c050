"""The unit of a comparison on text tasks: one row, by method, task, learning rate and seed."""

import math
import re
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

import torch

from ..config import TextColumns, TextExperiment
from ..diff import base_sha256, write_delta
from ..system.errors import Diverged
from ..system.tracking import notice
from ..tables.journal import Journal, Row
from ..tables.provenance import Stamp, fingerprint
from ..text.adapt import Prepared, adapt, evaluate, prepare
from ..text.encoder import TextClassifier

NAMES = ("task", "encoder", "method", "rate", "learning_rate", "seed")


@dataclass(frozen=True, kw_only=True)
class TaskRun:
    """The work of one row."""

    experiment: TextExperiment
    task: str
    method: str
    learning_rate: float
    seed: int
    folder: Path
    fingerprint: Stamp

    @property
    def key(self) -> tuple[str | float, ...]:
        """The key of the row, in the order of `NAMES`."""
        return self.task, self.experiment.encoder, self.method, self.experiment.rate, self.learning_rate, self.seed

    @property
    def keys(self) -> list[tuple[str | float, ...]]:
        """The keys of its rows: one."""
        return [self.key]

    def compute(self) -> None:
        """Compute the row and append it to the journal."""
        prepared = prepared_task(self.experiment.encoder, self.task, self.experiment.examples, self.experiment.columns)
        _warm_up(self)
        try:
            measured = measured_run(self, prepared)
        except Diverged:
            notice(
                f"{self.method} on {self.task} diverged at a learning rate of {self.learning_rate:g}, seed {self.seed}"
            )
            measured = diverged_run(prepared)
        row = dict(zip(NAMES, self.key, strict=True)) | {"metric": prepared.task.metric} | measured
        journal_of(self.folder, {(self.task, self.method): self.fingerprint}).append([row])

    @property
    def delta_path(self) -> Path:
        """The file of the delta, if the method writes one."""
        name = re.sub("[^A-Za-z0-9]+", "-", f"{self.method}-{Path(self.task).stem}-{self.seed}")
        return self.folder / "deltas" / f"{name}-{fingerprint([self.fingerprint['settings'], *self.key])}.safetensors"


@lru_cache(maxsize=16)
def prepared_task(encoder: str, task: str, examples: int, columns: TextColumns) -> Prepared:
    """Return the task as `prepare` does; cached for later runs in this process."""
    return prepare(encoder, task, examples, columns)


def encoder_sha256(encoder: str) -> str:
    """Return the hash of an encoder's weights. Raise `UserError` if it cannot be loaded."""
    return base_sha256(TextClassifier(encoder, 1).encoder)


class _Computable(Protocol):
    def compute(self) -> None: ...


def compute_unit(unit: _Computable) -> None:
    """Compute a unit in a worker process."""
    unit.compute()


def journal_of(folder: Path, fingerprints: Mapping[tuple[str, str], Stamp], **options: Any) -> Journal:
    """Return the journal of a results folder, with a fingerprint for each task and method."""
    return Journal(folder, fingerprints, by=itemgetter("task", "method"), **{"names": NAMES, **options})


_warm: deque[tuple[str, str, str, bool]] = deque(maxlen=64)


def _warm_up(run: TaskRun) -> None:
    """Train a few steps before anything is timed, once in a process: no row pays for imports and compilation."""
    experiment = run.experiment
    key = (run.method, experiment.encoder, experiment.precision, experiment.compiled)
    if key not in _warm:
        few = experiment.replace(examples=2 * experiment.batch_size, epochs=2, epochs_of={})
        prepared = prepared_task(few.encoder, run.task, few.examples, few.columns)
        with suppress(Diverged):
            adapt(few, prepared, run.method, learning_rate=run.learning_rate, seed=run.seed)
        _warm.append(key)


def measured_run(run: TaskRun, prepared: Prepared) -> Row:
    """Return the measured columns of a run. Raise `Diverged` if training or outputs diverge."""
    start = time.perf_counter()
    network, adapted = adapt(run.experiment, prepared, run.method, learning_rate=run.learning_rate, seed=run.seed)
    seconds = time.perf_counter() - start
    task, adapter = prepared.task, adapted.adapter
    validation, _ = evaluate(network, task, prepared.validation, adapter)
    score, outputs = evaluate(network, task, prepared.test, adapter)
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
        "predicted": prepared.task.predict(outputs).tolist(),
    }


def diverged_run(prepared: Prepared) -> Row:
    """Return the columns of a diverged run: no validation score, and the predictions of a constant network.

    A search prefers any run that has a validation score.
    """
    outputs = torch.zeros(len(prepared.test.rows), prepared.task.outputs)
    constant = prepared.task.score(outputs, prepared.test.targets)
    missing = dict.fromkeys(("validation", "values", "task_bytes", "train_seconds"), math.nan)
    return missing | {"score": constant, "predicted": prepared.task.predict(outputs).tolist()}

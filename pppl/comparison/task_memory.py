"""How much memory a method's training takes at its peak: measured apart from the runs, in a process of its own.

What a process has done before changes what its next run is charged for (primitives for lengths of texts that it has not
met, memory that was not given back), so that a run of a comparison cannot tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from ..config import TextExperiment
from ..system.errors import Diverged, UserError
from ..system.memory import PeakMemory, keep_freed
from ..system.processes import describe_exit, start_quietly, threads, worker_context
from ..tables.journal import Journal
from ..tables.provenance import Stamp
from ..text.adapt import Prepared, adapt
from ..text.text_methods import TEXT_METHODS
from .task_units import journal_of, prepared_task

MEMORY_NAMES = ("task", "encoder", "method", "rate")
_FILE = "memory.jsonl"
# Batches of the longest texts, which need most; enough for both stages of a method.
_BATCHES = 4


@dataclass(frozen=True, kw_only=True)
class MemoryRun:
    """The work of one measurement."""

    experiment: TextExperiment
    task: str
    method: str
    folder: Path
    fingerprint: Stamp

    @property
    def key(self) -> tuple[str | float, ...]:
        """In the order of `MEMORY_NAMES`."""
        return self.task, self.experiment.encoder, self.method, self.experiment.rate

    @property
    def keys(self) -> list[tuple[str | float, ...]]:
        """The key of its row."""
        return [self.key]

    def compute(self) -> None:
        """Measure and append to the folder's `memory.jsonl`. Raise `UserError` if the process is killed."""
        measure_memory(self)


def memory_journal(folder: Path, fingerprints: Mapping[tuple[str, str], Stamp]) -> Journal:
    """Finished measurements of a results folder."""
    return journal_of(folder, fingerprints, names=MEMORY_NAMES, file=_FILE)


def measure_memory(run: MemoryRun) -> None:
    """Measures and appends to the folder's `memory.jsonl`. Raises `UserError` where the process is killed."""
    context = worker_context(__name__)
    receive, send = context.Pipe(duplex=False)
    with send:
        process = start_quietly(context, _measure, (run, send))
    try:
        peak = receive.recv()
    except EOFError as error:
        process.join()
        what = f"measuring the memory of {run.method} on {run.task}"
        raise UserError(f"{what}: a worker process {describe_exit(process.exitcode)}") from error
    finally:
        process.kill()  # it has nothing left to do, or this is interrupted
        process.join()
    row = dict(zip(MEMORY_NAMES, run.key, strict=True)) | {"peak_memory_mib": peak / 2**20}
    memory_journal(run.folder, {(run.task, run.method): run.fingerprint}).append([row])


def _measure(run: MemoryRun, connection: Connection) -> None:
    keep_freed()
    experiment = run.experiment.replace(epochs=1, epochs_of={})
    prepared = _longest(prepared_task(experiment.encoder, run.task, experiment.examples), experiment.batch_size)
    rate = TEXT_METHODS[run.method].learning_rate

    def train() -> None:
        try:
            adapt(experiment, prepared, run.method, learning_rate=rate, seed=0)
        except Diverged:
            return

    with threads(1):
        train()  # whatever is set up once
        with PeakMemory() as memory:
            train()
    connection.send(memory.bytes)


def _longest(prepared: Prepared, batch_size: int) -> Prepared:
    return replace(prepared, train=prepared.train.longest(_BATCHES * batch_size))

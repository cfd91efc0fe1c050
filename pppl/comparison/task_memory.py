"""The peak memory of a method's training, measured apart from the runs in a process of its own.

A run of a comparison cannot measure it: earlier work of the process changes the result. For example, memory may not
have been returned, or texts of a new length may need new primitives.
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
# The number of batches of the longest texts, which need most memory; enough for both stages of a method.
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
        """The key of the row, in the order of `MEMORY_NAMES`."""
        return self.task, self.experiment.encoder, self.method, self.experiment.rate

    @property
    def keys(self) -> list[tuple[str | float, ...]]:
        """The keys of its rows: one."""
        return [self.key]

    def compute(self) -> None:
        """Measure and append to the folder's `memory.jsonl`. Raise `UserError` if the process is killed."""
        measure_memory(self)


def memory_journal(folder: Path, fingerprints: Mapping[tuple[str, str], Stamp]) -> Journal:
    """Return the journal of finished measurements in a results folder."""
    return journal_of(folder, fingerprints, names=MEMORY_NAMES, file=_FILE)


def measure_memory(run: MemoryRun) -> None:
    """Measure in a process of its own, and append to the folder's `memory.jsonl`.

    Raise `UserError` if the process is killed.
    """
    context = worker_context(__name__)
    receive, send = context.Pipe(duplex=False)
    with send:
        process = start_quietly(context, _measure, (run, send))
    try:
        peak = receive.recv()
    except EOFError as error:
        process.join()
        action = f"measuring the memory of {run.method} on {run.task}"
        raise UserError(f"{action}: a worker process {describe_exit(process.exitcode)}") from error
    finally:
        process.kill()  # it is finished, or this call is interrupted
        process.join()
    row = dict(zip(MEMORY_NAMES, run.key, strict=True)) | {"peak_memory_mib": peak / 2**20}
    memory_journal(run.folder, {(run.task, run.method): run.fingerprint}).append([row])


def _measure(run: MemoryRun, connection: Connection) -> None:
    """Train twice, and send the peak memory of the second training in bytes."""
    keep_freed()
    experiment = run.experiment.replace(epochs=1, epochs_of={})
    task = prepared_task(experiment.encoder, run.task, experiment.examples, experiment.columns)
    prepared = _longest(task, experiment.batch_size)
    rate = TEXT_METHODS[run.method].learning_rate

    def train() -> None:
        try:
            adapt(experiment, prepared, run.method, learning_rate=rate, seed=0)
        except Diverged:
            return

    with threads(1):
        train()  # the first training pays for what is set up once
        with PeakMemory() as memory:
            train()
    connection.send(memory.bytes)


def _longest(prepared: Prepared, batch_size: int) -> Prepared:
    """Return the task with the longest training texts only."""
    return replace(prepared, train=prepared.train.longest(_BATCHES * batch_size))

"""The workers of a sweep, processes of this machine or jobs of a cluster, and their supervisor."""

import importlib
import math
import os
import shutil
import signal
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import DBAPIError

from ..config import Experiment, Sweep
from ..system import progress
from ..system.errors import UserError, explain
from ..system.extras import Needing
from ..system.processes import describe_exit, start_quietly, start_worker, threads, worker_context, worker_environment
from ..system.tracking import notice
from .life import Life
from .queue import Queue
from .storage import reason_of, without_password
from .study import open_study, pruner_of, sampler_of
from .trial import naming, outcome_as_text, run_trial, watched_epochs

Launcher = Literal["local", "slurm"]
_POLL = 0.5  # seconds
_SPACE = 1 << 16  # bytes; a disk with less is full
_KEPT = "finished trials are kept"
_STARTS = 3  # tolerated number of workers in a row that are killed before they begin
_REFUSALS, _PAUSE = 20, 30.0  # tolerated number of job submissions in a row that fail, and seconds between them


@dataclass(frozen=True, kw_only=True)
class Work:
    """The input of a worker.

    - `base`: the experiment that trials change, with its protocol decided.
    - `folder`: the results folder.
    - `storage`: the URL of the database; empty for the journal file in `folder`.
    - `until`: no trial starts after this time, in seconds since the epoch.
    """

    settings: Sweep
    base: Experiment
    folder: Path
    storage: str = field(repr=False)  # may contain a password
    until: float = math.inf

    @property
    def over(self) -> bool:
        """True once the time is over, so that no more trials start."""
        return time.time() > self.until


def supervise(work: Work, queue: Queue, workers: int, launcher: Launcher) -> None:
    """Run workers until all slots are done, or until time is over and the running trials have ended.

    Workers that are killed are replaced.

    Raise `UserError` with the message of a worker that failed, after stopping the others.
    """
    count = min(workers, queue.slots - queue.finished())
    if count == 0:
        return
    crew: _Crew = _Processes(work) if launcher == "local" else _Jobs(work)
    try:
        with progress.bar(total=queue.slots, initial=queue.finished(), desc="trials", unit="trial") as bar:
            while (done := queue.finished()) < queue.slots and not (work.over and crew.idle(queue)):
                bar.update(done - bar.n)
                bar.set_postfix_str(f"running: {queue.running()}")
                crew.check(done)
                queue.repair()
                if not work.over:
                    crew.fill(count)
                time.sleep(_POLL)
            bar.update(queue.finished() - bar.n)
    except BaseException:
        crew.stop()
        raise
    crew.end()


def work_on(work: Work) -> None:
    """Run trials in this process, as one worker, until all are done or time is over."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings = work.settings
    study = open_study(settings, work.folder, work.storage, patient=True)
    study.pruner = pruner_of(settings, watched_epochs(work.base))
    queue = Queue(study, Life(study, work.folder, far=bool(work.storage)), settings.trials)
    with queue.life.living(), threads(1):
        while queue.finished() < queue.slots and not work.over:
            trial = queue.take()
            if trial is None:
                time.sleep(_POLL)
                queue.repair()
                continue
            # The seed depends on the trial, not on the worker, so that no two trials draw from the same random state.
            seed = np.random.SeedSequence([settings.sampler_seed, trial.number]).generate_state(1)[0]
            study.sampler = sampler_of(settings, int(seed))
            # Another worker has the trial by now if this one was taken for dead.
            with naming(trial), suppress(UpdateFinishedTrialError):
                state, values = run_trial(trial, settings, work.base, work.folder)
                queue.tell(trial, state, values)
                notice(outcome_as_text(settings, values))


def explain_trouble(error: Exception, folder: Path) -> str:
    """Return the cause and the remedy of a failure of the disk, database or system; empty for any other error.

    Free disk space is checked first, since some libraries report a full disk by errors of their own.
    """
    if _is_full(folder):
        message = f"cannot write to {folder}: no space left on device; {_KEPT}: free some and run the command again"
    elif isinstance(error, (StorageInternalError, DBAPIError)):
        message = f"the study's database failed: {reason_of(error)}; {_KEPT}: fix that and run the command again"
    else:
        message = explain(error, folder)
    return message


def _is_full(folder: Path) -> bool:
    return folder.exists() and shutil.disk_usage(folder).free < _SPACE


class _Crew(ABC):
    """The running workers of one kind."""

    def __init__(self, work: Work):
        self.work = work
        self.running: list[Any] = []

    @abstractmethod
    def fill(self, count: int) -> None:
        """Start workers until `count` are running."""

    @abstractmethod
    def check(self, done: int) -> None:
        """Remove workers that have ended. Raise `UserError` if one failed, or if too many in a row were killed.

        **Arguments:**

        - `done`: the number of finished trials.
        """

    @abstractmethod
    def idle(self, queue: Queue) -> bool:
        """Return whether no worker runs a trial any more, once time is over."""

    @abstractmethod
    def stop(self) -> None:
        """Stop all workers at once."""

    @abstractmethod
    def end(self) -> None:
        """Wind down the workers when no trial is left."""


class _Processes(_Crew):
    """Worker processes of this machine."""

    def __init__(self, work: Work):
        super().__init__(work)
        self._context = worker_context(__name__)
        self._lost = 0  # workers in a row that were killed before they began

    def fill(self, count: int) -> None:
        while len(self.running) < count:
            self.running.append(self._start())

    def _start(self) -> tuple[Any, Connection]:
        receive, send = self._context.Pipe(duplex=False)
        with send:
            process = start_quietly(self._context, _process, (self.work, worker_environment(), send))
        return process, receive

    def check(self, done: int) -> None:
        for ended in [worker for worker in self.running if not worker[0].is_alive()]:
            self.running.remove(ended)
            process, receive = ended
            messages = _received(receive)
            if process.exitcode is not None and process.exitcode > 0:
                raise UserError("".join(messages) or f"a worker process {describe_exit(process.exitcode)}")
            # A killed worker is replaced, but not for ever if none of them ever begins.
            self._lost = 0 if messages else self._lost + 1
            if self._lost > _STARTS:
                raise UserError(f"a worker process {describe_exit(process.exitcode)}")

    def idle(self, queue: Queue) -> bool:
        return not self.running  # once time is over, a worker ends with its trial

    def stop(self) -> None:
        for process, _ in self.running:
            process.kill()  # Lightning catches SIGTERM; SIGKILL is safe, since workers write atomically

    def end(self) -> None:
        for process, _ in self.running:
            process.join()


def _received(receive: Connection) -> list[str]:
    """Return the messages of a process: an empty text when it begins, and its error if it fails."""
    texts: list[str] = []
    with suppress(EOFError, OSError):  # the process was killed while sending
        while receive.poll():
            texts.append(receive.recv())
    return texts


def _process(work: Work, variables: dict[str, str], send: Connection) -> None:
    try:
        start_worker(variables)
        send.send("")
        # A W&B service shared with others would keep the run of a killed worker open, and its id in use.
        os.environ.pop("WANDB_SERVICE", None)
        work_on(work)
    except KeyboardInterrupt:  # Lightning raises it on SIGTERM: end as if killed, so that this worker is replaced
        os.kill(os.getpid(), signal.SIGKILL)
    except UserError as error:
        send.send(str(error))
        raise SystemExit(2) from error
    except Exception as error:
        if not (message := explain_trouble(error, work.folder)):
            raise
        send.send(message)
        raise SystemExit(2) from error


class _Jobs(_Crew):
    """Slurm jobs, submitted by `submitit`. Variables such as `SBATCH_PARTITION` choose where they run."""

    def __init__(self, work: Work, cluster: str = "slurm"):
        super().__init__(replace(work, storage=without_password(work.storage)))
        try:
            with Needing("--launcher slurm", "cluster"):
                submitit = importlib.import_module("submitit")
            self._executor = submitit.AutoExecutor(folder=work.folder / "jobs", cluster=cluster)
        except RuntimeError as error:  # this machine has no sbatch
            raise UserError(f"--launcher slurm: {error}; start it where jobs can be submitted") from error
        cores = max(1, work.base.training.threads)
        self._executor.update_parameters(name=work.settings.name, timeout_min=24 * 60, cpus_per_task=cores)
        self._lost, self._done, self._count = 0, 0, 0
        self._refused, self._next = 0, 0.0

    def fill(self, count: int) -> None:
        """Submit jobs until `count` are pending or running; raise `UserError` after too many refusals in a row."""
        self._count = count
        while len(self.running) < count and time.monotonic() >= self._next:
            try:
                self.running.append(self._executor.submit(work_on, self.work))
                self._refused = 0
            except RuntimeError as error:
                reason = (str(error).strip().splitlines() or ["without a reason"])[-1]
                self._refused += 1
                if self._refused > _REFUSALS:
                    raise UserError(f"--launcher slurm: the cluster takes no jobs ({reason})") from error
                notice(f"the cluster takes no job now ({reason}); the next attempt is in {_PAUSE:g} s")
                self._next = time.monotonic() + _PAUSE  # the cluster may be busy: a later call tries again

    def check(self, done: int) -> None:
        if done > self._done:
            self._lost, self._done = 0, done
        ended = [job for job in self.running if job.done()]
        failed = [job for job in ended if job.exception() is not None]
        self.running = [job for job in self.running if job not in ended]
        # Jobs that were preempted or ran out of time are replaced, but not for ever if no trial is finished meanwhile.
        self._lost += len(failed)
        if failed and self._lost > 3 * self._count:
            reason = str(failed[-1].exception()).strip().splitlines()[-1]
            raise UserError(f"jobs end with an error ({reason}); their logs are in {self.work.folder}/jobs")

    def idle(self, queue: Queue) -> bool:
        # Pending jobs do not count: they would start only to find that time is over.
        trials = queue.trials().values()
        return not any(trial.state == TrialState.RUNNING and queue.life.alive(trial) for trial in trials)

    def stop(self) -> None:
        for job in self.running:
            job.cancel()

    def end(self) -> None:
        self.stop()  # no trial is left, and pending jobs would wait in vain

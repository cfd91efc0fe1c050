"""The workers of a sweep: processes of this machine, or jobs of a cluster."""

import importlib
import math
import os
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
from ..system.processes import describe_exit, start_quietly, start_worker, threads, worker_context, worker_environment
from ..system.tracking import notice
from .life import Life
from .queue import SLOT, Queue
from .storage import reason_of, without_password
from .study import open_study, pruner_of, sampler_of
from .trial import run_trial, watched_epochs

Launcher = Literal["local", "slurm"]
_POLL = 0.5  # seconds
_SPACE = 1 << 16  # bytes; a disk with less is full
_KEPT = "what is finished is kept"
_STARTS = 3  # workers that are killed as they start, one after the other
_REFUSALS, _PAUSE = 20, 30.0  # jobs that a cluster does not take, one after the other, and seconds between them


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a worker is given: the sweep, its opened base, the results folder, and the database if any."""

    settings: Sweep
    base: Experiment
    folder: Path
    storage: str = field(repr=False)  # with its password
    until: float = math.inf  # seconds since the epoch, after which no trial begins

    @property
    def over(self) -> bool:
        """Whether no more trials are to begin."""
        return time.time() > self.until


def supervise(work: Work, queue: Queue, workers: int, launcher: Launcher) -> None:
    """Until all slots are done, or time is over and trials that have begun are: starts workers and, before that, others
    in place of those that are killed.

    Raises `UserError` with what a worker ended with, after the others were stopped.
    """
    count = min(workers, queue.slots - queue.finished())
    if count == 0:
        return
    crew: _Crew = _Processes(work) if launcher == "local" else _Jobs(work)
    try:
        with progress.bar(total=queue.slots, initial=queue.finished(), desc="trials", unit="trial") as bar:
            while (done := queue.finished()) < queue.slots and not (work.over and crew.idle(queue)):
                bar.update(done - bar.n)
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
    """What a worker does: takes trials until all are done, or time is over."""
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
            # Values are drawn when they are asked for: no two draws of a study are alike, whoever makes them.
            seed = np.random.SeedSequence([settings.sampler_seed, trial.number]).generate_state(1)[0]
            study.sampler = sampler_of(settings, int(seed))
            with _named(trial), suppress(UpdateFinishedTrialError):  # that was taken for dead, and another has it now
                queue.tell(trial, *run_trial(trial, settings, work.base, work.folder))


@contextmanager
def _named(trial: optuna.Trial) -> Iterator[None]:
    """An error that comes out of it tells the trial, and what was tried."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in trial {trial.user_attrs[SLOT]}, which tried {trial.params}")
        raise


def explain_trouble(error: Exception, folder: Path) -> str:
    """What a failure of the disk, the database or the system comes from, and what to do; empty for a mistake of ours.

    A full disk some libraries tell by errors of their own.
    """
    if _is_full(folder):
        told = f"cannot write to {folder}: no space left on device; {_KEPT}: mend that and run the same command again"
    elif isinstance(error, (StorageInternalError, DBAPIError)):
        told = f"the study's database fails: {reason_of(error)}; {_KEPT}: mend that and run the same command again"
    else:
        told = explain(error, folder)
    return told


def _is_full(folder: Path) -> bool:
    return folder.exists() and shutil.disk_usage(folder).free < _SPACE


class _Crew(ABC):
    """Workers of one kind."""

    def __init__(self, work: Work):
        self.work = work
        self.running: list[Any] = []

    @abstractmethod
    def fill(self, count: int) -> None:
        """Starts as many as are missing."""

    @abstractmethod
    def check(self, done: int) -> None:
        """Forgets those that were killed. Raises `UserError` where one has ended with an error.

        **Arguments:**

        - `done`: how many trials are finished.
        """

    @abstractmethod
    def idle(self, queue: Queue) -> bool:
        """Whether, now that time is over, none of them is in a trial."""

    @abstractmethod
    def stop(self) -> None:
        """Ends all of them at once."""

    @abstractmethod
    def end(self) -> None:
        """Waits for those that end by themselves, now that nothing is left to do."""


class _Processes(_Crew):
    def __init__(self, work: Work):
        super().__init__(work)
        self._context = worker_context(__name__)
        self._lost = 0  # one after the other, before they began

    def fill(self, count: int) -> None:
        while len(self.running) < count:
            self.running.append(self._start())

    def _start(self) -> tuple[Any, Connection]:
        receive, send = self._context.Pipe(duplex=False)
        with send:
            process = start_quietly(self._context, _process, (self.work, worker_environment(), send))
        return process, receive

    def check(self, done: int) -> None:
        for each in [each for each in self.running if not each[0].is_alive()]:
            self.running.remove(each)
            process, receive = each
            told = _received(receive)
            if process.exitcode is not None and process.exitcode > 0:
                raise UserError("".join(told) or f"a worker process {describe_exit(process.exitcode)}")
            # One that is killed is replaced; not for ever where none begins.
            self._lost = 0 if told else self._lost + 1
            if self._lost > _STARTS:
                raise UserError(f"a worker process {describe_exit(process.exitcode)}")

    def idle(self, queue: Queue) -> bool:
        return not self.running  # each ends with its trial

    def stop(self) -> None:
        for process, _ in self.running:
            process.kill()  # Lightning catches the gentler signal; all that workers write is written atomically

    def end(self) -> None:
        for process, _ in self.running:
            process.join()


def _received(receive: Connection) -> list[str]:
    """What a process has sent: that it has begun, which is an empty text, and what it ended with."""
    texts: list[str] = []
    with suppress(EOFError, OSError):  # killed while it sent
        while receive.poll():
            texts.append(receive.recv())
    return texts


def _process(work: Work, variables: dict[str, str], send: Connection) -> None:
    try:
        start_worker(variables)
        send.send("")
        # W&B's service that others use, too, would keep the run of a worker that is killed open, and its id in use.
        os.environ.pop("WANDB_SERVICE", None)
        work_on(work)
    except KeyboardInterrupt:  # what Lightning makes of a polite kill: others are to take this one's place
        os.kill(os.getpid(), signal.SIGKILL)
    except UserError as error:
        send.send(str(error))
        raise SystemExit(2) from error
    except Exception as error:
        if not (told := explain_trouble(error, work.folder)):
            raise
        send.send(told)
        raise SystemExit(2) from error


class _Jobs(_Crew):
    """Jobs of Slurm, by `submitit`; `SBATCH_PARTITION` and the like choose where they run."""

    def __init__(self, work: Work, cluster: str = "slurm"):
        super().__init__(replace(work, storage=without_password(work.storage)))
        try:
            submitit = importlib.import_module("submitit")
            self._executor = submitit.AutoExecutor(folder=work.folder / "jobs", cluster=cluster)
        except ImportError as error:
            raise UserError("--launcher slurm needs submitit: pip install 'pppl[cluster]'") from error
        except RuntimeError as error:  # no sbatch here
            raise UserError(f"--launcher slurm: {error}; start it where jobs can be submitted") from error
        cores = max(1, work.base.training.threads)
        self._executor.update_parameters(name=work.settings.name, timeout_min=24 * 60, cpus_per_task=cores)
        self._lost, self._done, self._count = 0, 0, 0
        self._refused, self._next = 0, 0.0

    def fill(self, count: int) -> None:
        """A cluster that takes no job now, as when it is busy, is asked again later; not for ever."""
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
                notice(f"the cluster takes no job ({reason}); asking again in {_PAUSE:g} s")
                self._next = time.monotonic() + _PAUSE

    def check(self, done: int) -> None:
        if done > self._done:
            self._lost, self._done = 0, done
        ended = [job for job in self.running if job.done()]
        failed = [job for job in ended if job.exception() is not None]
        self.running = [job for job in self.running if job not in ended]
        # Jobs that were preempted or ran out of time are replaced; not for ever, where nothing is finished meanwhile.
        self._lost += len(failed)
        if failed and self._lost > 3 * self._count:
            reason = str(failed[-1].exception()).strip().splitlines()[-1]
            raise UserError(f"jobs end with an error ({reason}); their logs are in {self.work.folder}/jobs")

    def idle(self, queue: Queue) -> bool:
        # Jobs that have not begun would wait for their turn only to find that time is over.
        trials = queue.trials().values()
        return not any(trial.state == TrialState.RUNNING and queue.life.alive(trial) for trial in trials)

    def stop(self) -> None:
        for job in self.running:
            job.cancel()

    def end(self) -> None:
        self.stop()  # most have not even begun

"""The workers of a sweep: processes of this machine, or jobs of a cluster."""

import importlib
import multiprocessing
import shutil
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import optuna
from tqdm.auto import tqdm

from ..config import Experiment, Sweep
from ..errors import UserError
from ..experiments.workers import START, start_worker, threads
from .life import Life
from .queue import Queue
from .study import open_study, pruner_of, sampler_of
from .trial import run_trial

Launcher = Literal["local", "slurm"]
_POLL = 0.5  # seconds


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a worker is given."""

    settings: Sweep
    base: Experiment
    folder: Path
    storage: str
    far: bool


def supervise(work: Work, queue: Queue, workers: int, launcher: Launcher) -> None:
    """Until all slots are done: starts workers, and others in place of those that are killed.

    Raises `UserError` with what a worker ended with, after the others were stopped.
    """
    count = min(workers, queue.slots - queue.finished())
    if count == 0:
        return
    crew: _Crew = _Processes(work) if launcher == "local" else _Jobs(work)
    try:
        with tqdm(total=queue.slots, initial=queue.finished(), desc="trials", unit="trial", disable=None) as bar:
            while (done := queue.finished()) < queue.slots:
                bar.update(done - bar.n)
                crew.check()
                queue.repair()
                crew.fill(count)
                time.sleep(_POLL)
            bar.update(queue.finished() - bar.n)
    except BaseException:
        crew.stop()
        raise
    crew.join()


def work_on(work: Work) -> None:
    """What a worker does: takes trials until all are done."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = open_study(work.settings, work.folder, work.storage)
    study.pruner = pruner_of(work.settings, work.base.training.epochs)
    queue = Queue(study, Life(study, work.folder, far=work.far), work.settings.trials)
    with queue.life.living(), threads(1):
        while queue.finished() < queue.slots:
            trial = queue.take()
            if trial is None:
                time.sleep(_POLL)
                queue.repair()
                continue
            # No two trials draw the same, whoever has them; one worker alone draws the same on every machine.
            study.sampler = sampler_of(work.settings, work.settings.sampler_seed + 1000 * trial.number)
            queue.tell(trial, *run_trial(trial, work.settings, work.base, work.folder))


def explained(error: Exception, folder: Path) -> str:
    """What a failure to write comes from, and what to do."""
    full = folder.exists() and shutil.disk_usage(folder).free < 1 << 16
    reason = "no space left on device" if full else getattr(error, "strerror", None) or str(error)
    return f"cannot write to {folder}: {reason}; what is finished is kept: mend that and run the same command again"


class _Crew(ABC):
    """Workers of one kind."""

    def __init__(self, work: Work):
        self.work = work
        self.running: list[Any] = []

    def fill(self, count: int) -> None:
        """Starts as many as are missing."""
        while len(self.running) < count:
            self.running.append(self._start())

    @abstractmethod
    def _start(self) -> Any: ...

    @abstractmethod
    def check(self) -> None:
        """Forgets those that were killed. Raises `UserError` where one has ended with an error."""

    @abstractmethod
    def stop(self) -> None:
        """Ends all of them at once."""

    @abstractmethod
    def join(self) -> None:
        """Waits for all to end."""


class _Processes(_Crew):
    def __init__(self, work: Work):
        super().__init__(work)
        self._context: Any = multiprocessing.get_context(START)
        if START == "forkserver":
            self._context.set_forkserver_preload([__name__])  # so that another worker is there at once

    def _start(self) -> tuple[Any, Connection]:
        receive, send = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_process, args=(self.work, send))
        process.start()
        send.close()
        return process, receive

    def check(self) -> None:
        for each in [each for each in self.running if not each[0].is_alive()]:
            self.running.remove(each)
            process, receive = each
            if process.exitcode is not None and process.exitcode > 0:
                raise UserError(_received(receive) or "a worker ended with an error, told above")

    def stop(self) -> None:
        for process, _ in self.running:
            process.kill()  # Lightning catches the gentler signal; all that workers write is written atomically

    def join(self) -> None:
        for process, _ in self.running:
            process.join()


def _received(receive: Connection) -> str:
    try:
        return receive.recv() if receive.poll() else ""
    except EOFError:
        return ""


def _process(work: Work, send: Connection) -> None:
    start_worker()
    try:
        work_on(work)
    except UserError as error:
        send.send(str(error))
        raise SystemExit(2) from error
    except Exception as error:
        if isinstance(error, OSError) or shutil.disk_usage(work.folder).free < 1 << 16:
            send.send(explained(error, work.folder))
            raise SystemExit(2) from error
        raise


class _Jobs(_Crew):
    """Jobs of Slurm, by `submitit`; its options are taken from the environment, as `sbatch` takes them."""

    def __init__(self, work: Work, cluster: str = "slurm"):
        super().__init__(work)
        try:
            submitit = importlib.import_module("submitit")
            self._executor = submitit.AutoExecutor(folder=work.folder / "jobs", cluster=cluster)
        except ImportError as error:
            raise UserError("--launcher slurm needs submitit: pip install 'pppl[cluster]'") from error
        except RuntimeError as error:  # no sbatch here
            raise UserError(f"--launcher slurm: {error}; start it where jobs can be submitted") from error
        self._executor.update_parameters(name=work.settings.name, timeout_min=24 * 60, cpus_per_task=1)
        self._lost = 0

    def _start(self) -> Any:
        return self._executor.submit(work_on, self.work)

    def check(self) -> None:
        for job in [job for job in self.running if job.done()]:
            self.running.remove(job)
            if (error := job.exception()) is not None:
                self._lost += 1
                # A job that was preempted or ran out of time is replaced; one that always fails is not.
                if self._lost > 10 * len(self.running) + 10:
                    raise UserError(
                        f"jobs end with an error: {str(error).splitlines()[-1]}; see {self.work.folder}/jobs"
                    )

    def stop(self) -> None:
        for job in self.running:
            job.cancel()

    def join(self) -> None:
        for job in self.running:
            job.wait()

"""Detection of dead workers: immediate on this machine, after a timeout on other machines."""

import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from ..system.files import output_folder
from ..system.locks import lock
from ..system.tracking import notice

WORKER = "worker"
# Seconds between two heartbeats, and seconds of silence after which a worker of another machine is dead. A worker that
# takes a trial must write its name into the trial within one `BEAT`.
BEAT, GRACE = 15.0, 120.0


# Seconds that the time between two looks counts for, at most.
_LONGEST_GAP = 5.0


@dataclass(frozen=True, kw_only=True)
class _Sighting:
    """The last heartbeat of a worker, as this process saw it.

    - `looked`: when this process last looked, by its monotonic clock.
    - `silent`: seconds without a new heartbeat until then.
    """

    worker: str
    beat: list[float] | None
    looked: float
    silent: float


class Life:
    """Liveness of the workers of a study.

    Each worker locks a file of its own in the results folder while it runs. The operating system releases the lock when
    the worker is killed, so other processes on the same machine see its death at once.

    Other machines, containers among them, cannot see that lock. For them, a worker counts up a heartbeat in the study,
    and is dead when the heartbeat stands still for too long. The observer measures that time with its own clock, so
    the clocks of two machines need not agree.

    **Arguments:**

    - `folder`: the results folder.
    - `far`: whether workers may have other results folders than this one.
    """

    def __init__(self, study: optuna.Study, folder: Path, *, far: bool):
        self.study, self.far = study, far
        self._folder = folder / "workers"
        self._seen: dict[int, _Sighting] = {}
        self.worker = ""

    @contextmanager
    def living(self) -> Iterator[None]:
        """Make this process visible as a live worker while the context is open."""
        self.worker = f"{platform.node()}-{uuid.uuid4().hex}"
        path, end = output_folder(self._folder) / self.worker, threading.Event()
        with path.open("w") as file:
            lock(file)
            file.write(f"{os.getpid()}\n")  # for users who look into the folder
            file.flush()
            threading.Thread(target=self._beat, args=(end,), daemon=True).start()
            try:
                yield
            finally:
                end.set()
                path.unlink(missing_ok=True)
        self.worker = ""

    def _beat(self, end: threading.Event) -> None:
        count = 0
        while not end.is_set():
            count += 1
            try:
                self.study.set_user_attr(f"beat-{self.worker}", [count, time.time()])
            except Exception as error:  # whatever the storage raises, the next heartbeat may succeed
                notice(f"this worker could not write its heartbeat to the study ({error}); it will try again")
            end.wait(BEAT)

    def alive(self, trial: FrozenTrial) -> bool:
        """Return whether the worker of a running trial is alive."""
        worker = trial.user_attrs.get(WORKER, "")
        if worker and worker == self.worker:
            return True
        locked = self._locked(worker) if worker else None
        return not self._silent(trial, worker) if locked is None else locked

    def _locked(self, worker: str) -> bool | None:
        """Return whether a worker of this machine and folder is alive; None if it may belong to another one.

        Locks of other machines are not trusted, since file systems of clusters may not share locks between machines.
        """
        if worker.rpartition("-")[0] != platform.node():
            return None
        path = self._folder / worker
        try:
            with path.open("rb") as file:
                lock(file, shared=True, wait=False)
        except PermissionError:  # the file is private to another user
            return None
        except FileNotFoundError:  # the worker has ended, or has another results folder
            return None if self.far else False
        except BlockingIOError:
            return True
        return False

    def _silent(self, trial: FrozenTrial, worker: str) -> bool:
        """Return whether a trial has been without a new heartbeat for too long.

        A trial whose worker has not written its name yet (`worker` is empty) has less time.
        """
        beat, now = self._last_beat(worker), time.monotonic()
        sighting = self._seen.get(trial.number)
        if sighting is None or (sighting.worker, sighting.beat) != (worker, beat):
            sighting = _Sighting(worker=worker, beat=beat, looked=now, silent=0.0)
        # A long gap between two looks says nothing about the worker: this process and the worker may both have been cut
        # off from the study.
        silent = sighting.silent + min(now - sighting.looked, _LONGEST_GAP)
        self._seen[trial.number] = replace(sighting, looked=now, silent=silent)
        return silent > (GRACE if worker else BEAT)

    def _last_beat(self, worker: str) -> list[float] | None:
        return self.study.user_attrs.get(f"beat-{worker}") if worker else None

    def age(self, trial: FrozenTrial) -> float:
        """Return the seconds since the last heartbeat of a trial's worker; 0 if there was none.

        The result compares the clocks of two machines.
        """
        beat = self._last_beat(trial.user_attrs.get(WORKER, ""))
        return time.time() - beat[1] if beat else 0.0

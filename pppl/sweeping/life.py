"""Which workers of a study live: at once on this machine, after a while on others."""

import fcntl
import os
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
from ..system.tracking import notice

WORKER = "worker"
# A worker of another machine beats every so many seconds, and is dead after so many without a beat. Who takes a trial
# tells its name at once, and has the time of one beat for it.
BEAT, GRACE = 15.0, 120.0


# What the time between two looks counts for at most.
_GLANCE = 5.0


@dataclass(frozen=True, kw_only=True)
class _Sign:
    """The last that was heard of a worker, when it was looked for last, and seconds without anything new till then."""

    worker: str
    beat: list[float] | None
    looked: float
    silent: float


class Life:
    """Tells the living workers of a study from the dead.

    A worker holds a lock on a file of its own in the results folder as long as it lives, which no kill can leave
    behind, and which others on its machine look at. For other machines (containers are such) it counts up a number in
    the study, and is dead when that has stood still: by the clock of who looks, so that no two clocks must agree.

    **Arguments:**

    - `folder`: of the results.
    - `far`: whether workers may have other results folders than this.
    """

    def __init__(self, study: optuna.Study, folder: Path, *, far: bool):
        self.study, self.far = study, far
        self._folder = folder / "workers"
        self._seen: dict[int, _Sign] = {}
        self.worker = ""

    @contextmanager
    def living(self) -> Iterator[None]:
        """While open, this process is alive to others."""
        self.worker = f"{os.uname().nodename}-{uuid.uuid4().hex}"
        path, end = output_folder(self._folder) / self.worker, threading.Event()
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"{os.getpid()}\n")  # for people
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
            except Exception as error:  # whatever the storage raises, the next beat may get through
                notice(f"this worker could not tell that it lives ({error})")
            end.wait(BEAT)

    def alive(self, trial: FrozenTrial) -> bool:
        """Whether the worker of a running trial still runs."""
        worker = trial.user_attrs.get(WORKER, "")
        if worker and worker == self.worker:
            return True
        locked = self._locked(worker) if worker else None
        return not self._silent(trial, worker) if locked is None else locked

    def _locked(self, worker: str) -> bool | None:
        """Whether a worker of this machine and folder lives; None where it is of another.

        File systems of clusters may keep locks to one machine.
        """
        if worker.rpartition("-")[0] != os.uname().nodename:
            return None
        path = self._folder / worker
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except PermissionError:  # of another user, who keeps it private
            return None
        except FileNotFoundError:  # it has ended, or has another folder
            return None if self.far else False
        except BlockingIOError:
            return True
        return False

    def _silent(self, trial: FrozenTrial, worker: str) -> bool:
        """Whether nothing has been heard of a trial's worker, or of a name of one, for too long."""
        beat, now = self._last_beat(worker), time.monotonic()
        sign = self._seen.get(trial.number)
        if sign is None or (sign.worker, sign.beat) != (worker, beat):
            sign = _Sign(worker=worker, beat=beat, looked=now, silent=0.0)
        # Who looks after a long time may have been cut off from the study as others were: that tells nothing of them.
        silent = sign.silent + min(now - sign.looked, _GLANCE)
        self._seen[trial.number] = replace(sign, looked=now, silent=silent)
        return silent > (GRACE if worker else BEAT)

    def _last_beat(self, worker: str) -> list[float] | None:
        return self.study.user_attrs.get(f"beat-{worker}") if worker else None

    def age(self, trial: FrozenTrial) -> float:
        """Seconds since the last beat of a trial's worker, by the clocks of both machines; 0 where it has none."""
        beat = self._last_beat(trial.user_attrs.get(WORKER, ""))
        return time.time() - beat[1] if beat else 0.0

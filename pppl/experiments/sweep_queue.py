"""Which trials are to be run: an exact number of slots, each of which one trial finishes, whoever dies meanwhile.

A study's trials are queued when it begins, one for each slot. A worker takes one, and holds a lock on a file of its own
as long as it lives, which no kill can leave behind. The trial of a worker whose lock is free is failed and queued again
with the same values. Where two processes do so at once the slot has two trials, of which the later one is dropped.
"""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from ..files import output_folder

SLOT, WORKER = "slot", "worker"
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


class _Lock:
    """Of the study's journal; the system takes it back from a process that dies."""

    def __init__(self, path: Path):
        self.path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Waits for it."""
        file = self.path.open("ab")
        fcntl.flock(file, fcntl.LOCK_EX)
        self._file = file
        return True

    def release(self) -> None:
        """Gives it back."""
        assert self._file is not None
        self._file.close()
        self._file = None


def storage_in(folder: Path) -> JournalStorage:
    """The study's journal in a results folder."""
    lock: Any = _Lock(folder / "study.lock")  # of a kind that optuna does not name in public
    return JournalStorage(JournalFileBackend(str(folder / "study.log"), lock))


class Queue:
    """A study's slots.

    **Arguments:**

    - `folder`: of the results; workers of other folders are not known here.
    """

    def __init__(self, study: optuna.Study, folder: Path, slots: int):
        self.study, self.slots = study, slots
        self._workers = output_folder(folder / "workers")
        self.worker = ""

    @contextmanager
    def working(self) -> Iterator[None]:
        """While open, this process is alive to others."""
        self.worker = uuid.uuid4().hex
        path = self._workers / self.worker
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"{os.uname().nodename} {os.getpid()}\n")  # for people
            file.flush()
            yield
            path.unlink(missing_ok=True)
        self.worker = ""

    def alive(self, worker: str) -> bool:
        """Whether a worker still runs."""
        path = self._workers / worker
        if worker == self.worker:
            return True
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        path.unlink(missing_ok=True)
        return False

    def trials(self) -> dict[int, FrozenTrial]:
        """The trial that counts of each slot; slots that have none yet, or whose trials have failed, are left out."""
        of: dict[int, FrozenTrial] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state != TrialState.FAIL:
                of.setdefault(trial.user_attrs.get(SLOT, -1), trial)
        return {slot: trial for slot, trial in of.items() if 0 <= slot < self.slots}

    def take(self) -> optuna.Trial | None:
        """A trial to run; None where nothing waits."""
        while any(trial.state == TrialState.WAITING for trial in self.trials().values()):
            trial = self.study.ask()
            slot = trial.user_attrs.get(SLOT)
            first = self.trials().get(-1 if slot is None else slot)
            if first is not None and first.number == trial.number:
                trial.set_user_attr(WORKER, self.worker)
                return trial
            # Somebody else took the last one that waited, or queued this slot a second time.
            self.study.tell(trial, state=TrialState.FAIL)
        return None

    def repair(self) -> None:
        """Queues slots that have no trial, and those whose worker has died."""
        for trial in self.trials().values():
            if trial.state == TrialState.RUNNING and not self.alive(trial.user_attrs.get(WORKER, "")):
                try:
                    self.study.tell(trial.number, state=TrialState.FAIL)
                except (ValueError, UpdateFinishedTrialError):  # it was told by another process
                    continue
                self.study.enqueue_trial(trial.params, user_attrs={SLOT: trial.user_attrs[SLOT]})
        for slot in sorted(set(range(self.slots)) - self.trials().keys()):
            self.study.enqueue_trial(self._before(slot), user_attrs={SLOT: slot})

    def _before(self, slot: int) -> dict[str, object]:
        """Values of a slot's failed trial; none where it had none yet."""
        failed = [trial for trial in self.study.get_trials(deepcopy=False) if trial.user_attrs.get(SLOT) == slot]
        return max((trial.params for trial in failed), key=len, default={})

    def finished(self) -> int:
        """How many slots are done."""
        return sum(trial.state in DONE for trial in self.trials().values())

"""The queue of a study: a fixed number of slots, each finished by exactly one trial even if workers die.

When a study begins, one trial is queued for each slot, and workers take trials from the queue. If a worker dies, its
trial is marked as failed and queued again with the same values. If two processes do this at once, the slot has two
trials, and the later one is dropped.
"""

import secrets
from collections.abc import Sequence
from contextlib import suppress

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from ..system.tracking import notice
from .life import WORKER, Life

# User attributes of a trial: its slot, and the id of its W&B run, which is kept when the trial starts again.
SLOT, RUN = "slot", "wandb"
# User attribute of a trial that was given up: the reason.
WHY = "why"
# A trial is given up after this many of its workers were killed.
_MAX_KILLS = 6
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


class Queue:
    """The slots of a study, and the trials that fill them.

    **Arguments:**

    - `slots`: how many trials are to finish.
    """

    def __init__(self, study: optuna.Study, life: Life, slots: int):
        self.study, self.life, self.slots = study, life, slots

    def trials(self) -> dict[int, FrozenTrial]:
        """Return the trial that counts for each slot; slots without a trial that has not failed are left out."""
        by_slot: dict[int, FrozenTrial] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state != TrialState.FAIL:
                by_slot.setdefault(trial.user_attrs.get(SLOT, -1), trial)
        return {slot: trial for slot, trial in by_slot.items() if 0 <= slot < self.slots}

    def take(self) -> optuna.Trial | None:
        """Take a waiting trial and return it; None if no trial waits."""
        while any(trial.state == TrialState.WAITING for trial in self.trials().values()):
            trial = self.study.ask()
            first = self.trials().get(trial.user_attrs.get(SLOT, -1))
            with suppress(UpdateFinishedTrialError):  # this worker was slow, taken for dead, and its slot queued again
                if first is not None and first.number == trial.number:
                    trial.set_user_attr(WORKER, self.life.worker)
                    return trial
                # Another process took the last waiting trial, or queued this slot a second time.
                self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        return None

    def tell(self, trial: optuna.Trial, state: TrialState, values: Sequence[float] = ()) -> None:
        """End a trial, unless its worker was taken for dead meanwhile and the trial queued again."""
        with suppress(UpdateFinishedTrialError):
            self.study.tell(trial, values or None, state=state, skip_if_finished=True)

    def repair(self) -> None:
        """Queue the slots that have no trial or whose worker has died."""
        for trial in self.trials().values():
            if trial.state == TrialState.RUNNING and not self.life.alive(trial):
                with suppress(UpdateFinishedTrialError):  # another process ended it at the same moment
                    self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        of_slot: dict[int, list[FrozenTrial]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            of_slot.setdefault(trial.user_attrs.get(SLOT, -1), []).append(trial)
        for slot in sorted(set(range(self.slots)) - self.trials().keys()):
            self._queue(slot, of_slot.get(slot, []))

    def _queue(self, slot: int, failed: Sequence[FrozenTrial]) -> None:
        """Queue a slot again with the values and W&B run of its failed trials, or give it up after too many kills."""
        last = max(failed, key=lambda trial: len(trial.params), default=None)
        attributes = {SLOT: slot, RUN: last.user_attrs[RUN] if last else secrets.token_hex(8)}
        killed = sum(WORKER in trial.user_attrs for trial in failed)
        if last is None or killed < _MAX_KILLS:
            self.study.enqueue_trial(last.params if last else {}, user_attrs=attributes)
            return
        # The values themselves may kill workers, for example by using too much memory, so retrying must end.
        why = f"its worker was killed {killed} times"
        notice(f"trial {slot} is given up: {why}")
        given_up = optuna.create_trial(
            state=TrialState.PRUNED,
            params=last.params,
            distributions=last.distributions,
            user_attrs=attributes | {WHY: why},
        )
        self.study.add_trial(given_up)

    def running(self) -> str:
        """Return the slots whose trials run, separated by commas."""
        return ", ".join(str(slot) for slot, trial in self.trials().items() if trial.state == TrialState.RUNNING)

    def done(self) -> dict[int, FrozenTrial]:
        """Return the trials of the slots that are done."""
        return {slot: trial for slot, trial in self.trials().items() if trial.state in DONE}

    def finished(self) -> int:
        """Return the number of slots that are done."""
        return len(self.done())

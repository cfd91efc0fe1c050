"""Which trials are to be run: an exact number of slots, each of which one trial finishes, whoever dies meanwhile.

A study's trials are queued when it begins, one for each slot. A worker takes one; the trial of a worker that has died
is failed and queued again with the same values. Where two processes do so at once the slot has two trials, of which
the later one is dropped.
"""

import secrets
from collections.abc import Sequence
from contextlib import suppress

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from ..system.tracking import notice
from .life import WORKER, Life

# What a trial is given: its slot, and the id of its W&B run, which goes on where the trial begins again.
SLOT, RUN = "slot", "wandb"
# Why a trial was given up.
WHY = "why"
# After so many kills of its worker.
_KILLS = 6
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


class Queue:
    """A study's slots."""

    def __init__(self, study: optuna.Study, life: Life, slots: int):
        self.study, self.life, self.slots = study, life, slots

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
            first = self.trials().get(trial.user_attrs.get(SLOT, -1))
            with suppress(UpdateFinishedTrialError):  # who is slow here is taken for dead, and the slot is queued again
                if first is not None and first.number == trial.number:
                    trial.set_user_attr(WORKER, self.life.worker)
                    return trial
                # Somebody else took the last one that waited, or queued this slot a second time.
                self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        return None

    def tell(self, trial: optuna.Trial, state: TrialState, values: Sequence[float] = ()) -> None:
        """Ends a trial. One that was taken for dead meanwhile, and queued again, is left as it is."""
        with suppress(UpdateFinishedTrialError):
            self.study.tell(trial, values or None, state=state, skip_if_finished=True)

    def repair(self) -> None:
        """Queues slots that have no trial, and those whose worker has died."""
        for trial in self.trials().values():
            if trial.state == TrialState.RUNNING and not self.life.alive(trial):
                with suppress(UpdateFinishedTrialError):  # another process has told it in this moment
                    self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        of_slot: dict[int, list[FrozenTrial]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            of_slot.setdefault(trial.user_attrs.get(SLOT, -1), []).append(trial)
        for slot in sorted(set(range(self.slots)) - self.trials().keys()):
            self._queue(slot, of_slot.get(slot, []))

    def _queue(self, slot: int, failed: Sequence[FrozenTrial]) -> None:
        """Queues a slot, with what its failed trials had."""
        last = max(failed, key=lambda trial: len(trial.params), default=None)
        attributes = {SLOT: slot, RUN: last.user_attrs[RUN] if last else secrets.token_hex(8)}
        killed = sum(WORKER in trial.user_attrs for trial in failed)
        if last is None or killed < _KILLS:
            self.study.enqueue_trial(last.params if last else {}, user_attrs=attributes)
            return
        # Its values may be what kills workers, for want of memory say: no worker must try them for ever.
        why = f"its worker was killed {killed} times"
        notice(f"trial {slot} is left out: {why}")
        given_up = optuna.create_trial(
            state=TrialState.PRUNED,
            params=last.params,
            distributions=last.distributions,
            user_attrs=attributes | {WHY: why},
        )
        self.study.add_trial(given_up)

    def done(self) -> dict[int, FrozenTrial]:
        """The trials of slots that are done."""
        return {slot: trial for slot, trial in self.trials().items() if trial.state in DONE}

    def finished(self) -> int:
        """How many slots are done."""
        return len(self.done())

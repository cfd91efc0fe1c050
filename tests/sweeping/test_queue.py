"""The queue of a sweep: which trials are to be run, who is dead, and a journal of whole lines."""

import json
import os
import time
from contextlib import ExitStack
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from pppl.sweeping import life as life_module
from pppl.sweeping.life import Life
from pppl.sweeping.queue import SLOT, Queue
from pppl.sweeping.storage import storage_at


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=storage_at("", tmp_path), study_name="sweep")
    return Queue(study, Life(study, tmp_path, far=False), 2)


def test_values_that_kill_their_worker_are_given_up(queue: Queue):
    queue.slots = 1
    drawn = set()
    for _ in range(6):
        queue.repair()
        with queue.life.living():
            trial = queue.take()
            assert trial is not None
            drawn.add(trial.suggest_float("x", 0, 1))
    queue.repair()
    assert len(drawn) == 1
    assert queue.trials()[0].state == TrialState.PRUNED
    assert queue.trials()[0].user_attrs["why"] == "its worker was killed 6 times"
    assert queue.finished() == 1


def test_a_slot_that_was_queued_twice_is_run_once(queue: Queue, tmp_path: Path):
    queue.repair()
    queue.study.enqueue_trial({}, user_attrs={SLOT: 0})  # another process saw the same gap
    with queue.life.living():
        taken = [queue.take(), queue.take()]
        assert [trial.user_attrs[SLOT] for trial in taken if trial is not None] == [0, 1]
        for trial in taken:
            assert trial is not None
            queue.study.tell(trial, 1.0)
        assert queue.take() is None
    queue.repair()
    assert queue.finished() == 2
    assert len([trial for trial in queue.study.trials if trial.state == TrialState.COMPLETE]) == 2


def test_the_trial_of_a_dead_worker_is_told_from_that_of_a_living_one(queue: Queue, tmp_path: Path):
    queue.repair()
    other = Queue(queue.study, Life(queue.study, tmp_path, far=False), 2)
    with queue.life.living():
        first = queue.take()
        assert first is not None
        first.suggest_float("x", 0, 1)
        with other.life.living():
            other.repair()
            assert [trial.state for trial in other.trials().values()].count(TrialState.RUNNING) == 1, "it is alive"
            second = other.take()
            assert second is not None
    queue.repair()  # both are gone
    waiting = queue.trials()
    assert {trial.state for trial in waiting.values()} == {TrialState.WAITING}
    with queue.life.living():
        again = queue.take()
        assert again is not None
        assert again.user_attrs[SLOT] == first.user_attrs[SLOT]
        assert again.suggest_float("x", 0, 1) == first.params["x"]


@pytest.mark.parametrize("far", [False, True])
def test_a_trial_whose_worker_was_killed_before_it_told_its_name_is_run_again(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, far: bool
):
    queue.life.far = far
    queue.repair()
    killed = queue.study.ask()  # a kill came here
    queue.repair()
    assert queue.trials()[0].number == killed.number, "it may be about to tell its name"
    monkeypatch.setattr(life_module, "BEAT", 0.0)
    queue.repair()
    assert queue.trials()[0].number != killed.number
    assert queue.trials()[0].state == TrialState.WAITING


@pytest.mark.parametrize("late", ["trials", "set_user_attr"])
def test_a_worker_that_is_too_slow_to_tell_its_name_takes_the_next(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, late: str
):
    queue.repair()
    slow = {"trials": (queue, "trials"), "set_user_attr": (optuna.Trial, "set_user_attr")}[late]
    real, failed = getattr(*slow), []

    def taken_for_dead(*args: object) -> object:
        if not failed and (trials := queue.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))):
            failed.append(trials[0].number)
            queue.study.tell(trials[0].number, state=TrialState.FAIL)
        return real(*args)

    monkeypatch.setattr(*slow, taken_for_dead)
    with queue.life.living():
        trial = queue.take()
        assert trial is not None
        assert [trial.number, trial.user_attrs[SLOT]] == [failed[0] + 1, 1]


def _check_is_left_to_work(queue: Queue) -> None:
    """For longer than a worker may be silent."""
    until = time.monotonic() + 2 * life_module.GRACE
    while time.monotonic() < until:
        queue.repair()
        assert TrialState.RUNNING in {trial.state for trial in queue.trials().values()}
        time.sleep(0.1)


def _check_is_dead_when_it_stands_still(queue: Queue) -> None:
    queue.repair()
    time.sleep(1.1 * life_module.GRACE)
    queue.repair()
    assert {trial.state for trial in queue.trials().values()} == {TrialState.WAITING}


def test_a_worker_of_another_machine_is_dead_when_its_beat_stands_still(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    far = Queue(queue.study, Life(queue.study, tmp_path / "elsewhere", far=True), 2)
    queue.life.far = True
    queue.repair()
    monkeypatch.setattr(life_module, "BEAT", 0.05)
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "other-machine", "", "", "")))
    with queue.life.living():
        assert queue.take() is not None
        monkeypatch.undo()
        monkeypatch.setattr(life_module, "BEAT", 0.05)
        monkeypatch.setattr(life_module, "GRACE", 1.0)
        _check_is_left_to_work(far)
    _check_is_dead_when_it_stands_still(far)


@pytest.mark.parametrize("name", ["other-machine", f"{os.uname().nodename}-01"])
def test_a_container_on_the_same_folder_is_left_to_work(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    """It needs no database, and its name may begin like this machine's."""
    queue.repair()
    other = Queue(queue.study, Life(queue.study, tmp_path, far=False), 2)
    monkeypatch.setattr(life_module, "GRACE", 1.0)
    monkeypatch.setattr(life_module, "BEAT", 0.05)
    with ExitStack() as living:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(os, "uname", lambda: os.uname_result(("Linux", name, "", "", "")))
            living.enter_context(other.life.living())
        assert other.take() is not None
        _check_is_left_to_work(queue)
    _check_is_dead_when_it_stands_still(queue)


def test_the_trial_of_a_worker_that_has_ended_begins_again_at_once(queue: Queue):
    queue.repair()
    with queue.life.living():
        assert queue.take() is not None
    queue.repair()
    assert {trial.state for trial in queue.trials().values()} == {TrialState.WAITING}


def test_what_a_kill_or_a_full_disk_leaves_of_a_line_is_cut_off(queue: Queue, tmp_path: Path):
    queue.repair()
    with (tmp_path / "study.log").open("a") as file:
        file.write('{"op_code":4,"work')
    queue.study.set_user_attr("after", 1)
    lines = (tmp_path / "study.log").read_text().splitlines()
    assert [json.loads(line) for line in lines], "all of them whole"
    again = optuna.load_study(study_name="sweep", storage=storage_at("", tmp_path))
    assert again.user_attrs == {"after": 1}
    assert len(again.trials) == 2

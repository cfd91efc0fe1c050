"""Sweeps: an exact number of trials, whoever is killed, and a best that no test person has seen."""

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState

from pppl import Experiment
from pppl.cli import main
from pppl.config import Sweep
from pppl.errors import UserError
from pppl.experiments.sweep import status, sweep
from pppl.experiments.sweep_queue import SLOT, Queue, storage_in
from pppl.experiments.sweep_space import suggested

SPACE: dict[str, Any] = {
    "ppp.target_rate": {"low": 0.1, "high": 0.9},
    "ppp.gate_width": {"choices": [4, 8]},
    "ppp.prototype_weight": {"low": 0.01, "high": 1.0, "log": True, "when": {"ppp.gate_width": [8]}},
}


@pytest.fixture
def folder(tiny: Experiment, tmp_path: Path) -> Path:
    """With an experiment file and a sweep's."""
    tree = tiny.replace(**{"training.epochs": 1, "persons.classes": [2]}).to_dict()
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(tree))
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump({"base": "base.yaml", "space": SPACE, "budget": 0.5, "trials": 5})
    )
    return tmp_path


@pytest.fixture
def settings(folder: Path) -> Sweep:
    return Sweep.load(folder / "mine.yaml")


def test_as_many_trials_as_asked_for_finish(folder: Path, settings: Sweep):
    out = folder / "out"
    trials = sweep(settings, out, workers=2, beside=folder)
    assert trials["trial"].tolist() == list(range(5))
    assert set(trials["state"]) == {"complete"}
    assert trials["accuracy"].between(0, 1).all()
    assert trials.loc[trials["best"], "accuracy"].tolist() == [trials["accuracy"].max()]
    assert trials["ppp.prototype_weight"].isna().tolist() == (trials["ppp.gate_width"] == 4).tolist()
    assert trials["ppp.target_rate"].nunique() == 5, "two workers do not draw the same"
    before = (out / "trials.csv").read_bytes()
    sweep(settings, out, workers=2, beside=folder)
    assert (out / "trials.csv").read_bytes() == before, "nothing is left to do"
    more = sweep(settings.replace(trials=6), out, beside=folder)
    pd.testing.assert_frame_equal(more.iloc[:5].drop(columns="best"), trials.drop(columns="best"))
    assert len(more) == 6
    assert status(out).startswith("6 done, 0 running, 0 dead, 0 waiting of 6 trials\nbest so far: trial ")
    with pytest.raises(UserError, match=r"out has a study of another space, base or seeds: name another --out"):
        sweep(settings.replace(budget=0.4), out, beside=folder)


def test_the_best_is_an_experiment_on_persons_that_no_trial_saw(folder: Path, settings: Sweep):
    trials = sweep(settings.replace(trials=3), folder / "out", beside=folder)
    best = Experiment.load(folder / "out" / "best.yaml")
    assert best.persons.query == "test"
    assert not set(best.seeds) & set(settings.seeds)
    assert len(best.seeds) == 3
    row = trials[trials["best"]].iloc[0]
    assert best.ppp.target_rate == row["ppp.target_rate"]
    assert best.backbone.options == {"widths": [8, 12, 12]}
    for path in (folder / "out" / "trials").iterdir():
        rows = pd.read_json(path / "journal.jsonl", lines=True)
        assert set(rows["seed"]) == {1000}
    assert main(["compare", str(folder / "out" / "best.yaml"), "--seeds=[0]", "--out", str(folder / "on-test")]) == 0


def test_the_best_keeps_to_its_constraints(folder: Path, settings: Sweep):
    free = sweep(settings.replace(trials=4), folder / "free", beside=folder)
    bound = float(free["own_minus_other"].max())
    bounded = settings.replace(trials=4, constraints={"own_minus_other": bound, "macs_fraction": 1.0})
    trials = sweep(bounded, folder / "bounded", beside=folder)
    assert trials["accuracy"].tolist() == free["accuracy"].tolist(), "the sampler's seed is its own"
    assert trials["feasible"].tolist() == (trials["own_minus_other"] >= bound).tolist()
    assert trials.loc[trials["best"], "accuracy"].tolist() == [trials.loc[trials["feasible"], "accuracy"].max()]


def _sweep(settings: Sweep, folder: Path) -> None:
    os.environ["WANDB_MODE"] = "disabled"
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (as long as the process lives)
    sweep(settings, folder / "out", workers=2, beside=folder)


def _workers(out: Path) -> list[int]:
    """Process numbers of those that are alive."""
    pids = [path.read_text().split() for path in (out / "workers").glob("*")]
    return [int(words[1]) for words in pids if len(words) == 2 and Path("/proc", words[1]).exists()]


def test_killed_workers_and_a_killed_sweep_lose_nothing(folder: Path, settings: Sweep):
    trials, out, rng = settings.replace(trials=12), folder / "out", random.Random(0)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pppl.experiments.sweep"])
    process = context.Process(target=_sweep, args=(trials, folder))
    process.start()
    kills = 0
    while kills < 6:
        time.sleep(rng.uniform(0.3, 1.5))
        assert process.is_alive(), f"finished after {kills} kills"
        if pids := _workers(out):
            os.kill(rng.choice(pids), signal.SIGKILL)
            kills += 1
            if kills == 4:  # the sweep itself, workers and all
                process.kill()
                process.join()
                assert "dead" in status(out)
                process = context.Process(target=_sweep, args=(trials, folder))
                process.start()
    process.join()
    assert process.exitcode == 0
    table = pd.read_csv(out / "trials.csv")
    assert table["state"].tolist() == ["complete"] * 12
    study = optuna.load_study(study_name="sweep", storage=storage_in(out))
    done = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert sorted(trial.user_attrs[SLOT] for trial in done) == list(range(12)), "none twice, none lost"
    failed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert len(failed) >= 1
    of = {trial.user_attrs[SLOT]: trial for trial in done}
    for trial in failed:
        again = of[trial.user_attrs[SLOT]].params
        assert trial.params.items() <= again.items(), "it starts again with the same values"


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return Queue(optuna.create_study(storage=storage_in(tmp_path), study_name="sweep"), tmp_path, 2)


def test_a_slot_that_was_queued_twice_is_run_once(queue: Queue, tmp_path: Path):
    queue.repair()
    queue.study.enqueue_trial({}, user_attrs={SLOT: 0})  # another process saw the same gap
    with queue.working():
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
    other = Queue(queue.study, tmp_path, 2)
    with queue.working():
        first = queue.take()
        assert first is not None
        first.suggest_float("x", 0, 1)
        with other.working():
            other.repair()
            assert [trial.state for trial in other.trials().values()].count(TrialState.RUNNING) == 1, "it is alive"
            second = other.take()
            assert second is not None
    queue.repair()  # both are gone
    waiting = queue.trials()
    assert {trial.state for trial in waiting.values()} == {TrialState.WAITING}
    with queue.working():
        again = queue.take()
        assert again is not None
        assert again.user_attrs[SLOT] == first.user_attrs[SLOT]
        assert again.suggest_float("x", 0, 1) == first.params["x"]


def test_values_are_of_their_kind():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = SPACE | {"ppp.prototype_scale": {"low": 1, "high": 9, "step": 4}}
    drawn = [suggested(study.ask(), space) for _ in range(40)]
    assert {values["ppp.prototype_scale"] for values in drawn} == {1, 5, 9}
    for values in drawn:
        assert 0.1 <= values["ppp.target_rate"] <= 0.9
        assert ("ppp.prototype_weight" in values) == (values["ppp.gate_width"] == 8)
    weights = [values["ppp.prototype_weight"] for values in drawn if "ppp.prototype_weight" in values]
    assert sum(weight < 0.1 for weight in weights) > len(weights) / 4, "by orders of magnitude"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {}}, "space is empty: name at least one key"),
        (
            {"space": {"ppp.target_rat": {"low": 0.1, "high": 0.2}}},
            "space.ppp.target_rat: unknown key 'ppp.target_rat'",
        ),
        ({"space": {"ppp.target_rate": {"low": 0.1, "high": 2}}}, "space.ppp.target_rate: ppp.target_rate is 2.0: in"),
        ({"space": {"ppp.target_rate": {"low": 0.3, "high": 0.2}}}, "is from 0.3 to 0.2: low must be less than high"),
        ({"space": {"ppp.target_rate": {"low": 0, "high": 1, "log": True}}}, "low must be more than 0"),
        ({"space": {"ppp.target_rate": {"low": "x", "high": 1}}}, "space.ppp.target_rate.low is 'x': a number"),
        ({"space": {"ppp.target_rate": {"lo": 0.1}}}, "unknown key of space.ppp.target_rate 'lo': did you mean 'low'?"),
        ({"space": {"ppp.target_rate": {"low": 0.1}}}, "needs low and high, or choices"),
        ({"space": {"ppp.target_rate": {"choices": []}}}, r"choices is \[\]: a list of values"),
        ({"space": {"persons.count": {"choices": [3]}}}, "trials must have the same method, seeds and persons"),
        ({"space": {"ppp.target_rate": {"choices": [1.0], "when": {"ppp.gate_width": [4]}}}}, "one that comes before"),
        ({"constraints": {"mac": 0.1}}, "unknown constraint 'mac': known: macs_fraction, own_minus_other"),
        ({"method": "pp"}, "unknown method 'pp'"),
        ({"settings": {"persons.cont": 3}}, "unknown key 'persons.cont'"),
        ({"base": "nowhere.yaml"}, "cannot read nowhere.yaml"),
        ({"trials": 0}, "trials is 0: at least 1"),
    ],
)
def test_mistakes_are_told_before_the_first_trial(folder: Path, changes: dict[str, Any], message: str):
    tree = yaml.safe_load((folder / "mine.yaml").read_text()) | changes
    (folder / "mine.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(UserError, match=message):
        sweep(Sweep.load(folder / "mine.yaml"), folder / "out", beside=folder)
    assert not (folder / "out" / "study.log").exists()


def test_the_command_and_its_status(folder: Path, capsys: pytest.CaptureFixture[str]):
    out = ["--out", str(folder / "out")]
    assert main(["sweep", str(folder / "mine.yaml"), "--status", *out]) == 2
    assert "has no study" in capsys.readouterr().err
    assert main(["sweep", str(folder / "mine.yaml"), "--trials", "2", "--workers", "1", *out]) == 0
    printed = capsys.readouterr().out
    assert "The best of 2 trials, on validation persons" in printed
    assert "ppp.target_rate" in printed
    assert main(["sweep", str(folder / "mine.yaml"), "--status", *out]) == 0
    assert "2 done" in capsys.readouterr().out
    shutil.rmtree(folder / "out" / "trials")
    (folder / "out" / "study.log").write_text("nothing of the kind\n")
    assert main(["sweep", str(folder / "mine.yaml"), *out]) == 2
    assert "is no journal of a study" in capsys.readouterr().err

"""Sweeps: an exact number of trials, whoever is killed, and a best that no test person has seen."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState
from sweep_files import QUICK, check_all_finished_once
from wandb_files import whole_run

from pppl import Experiment
from pppl.cli.command import main
from pppl.comparison.load import open_experiment
from pppl.config import Sweep
from pppl.lab import sweep
from pppl.sweeping import status
from pppl.sweeping import supervisor as workers_module
from pppl.sweeping.importances import importances
from pppl.sweeping.space import base_of, suggest
from pppl.sweeping.storage import storage_at
from pppl.sweeping.study import queue_of
from pppl.sweeping.trial import is_behind
from pppl.system.errors import UserError
from pppl.system.files import output_folder
from pppl.system.progress import about, notice
from pppl.tables.metric import METRICS
from pppl.tasks import TASKS

pytestmark = pytest.mark.usefixtures("sketched")


def test_as_many_trials_as_asked_for_finish(folder: Path, settings: Sweep):
    out = folder / "out"
    trials = sweep(settings, out, workers=2, beside=folder)
    assert trials["trial"].tolist() == list(range(5))
    assert set(trials["state"]) == {"complete"}
    assert trials["score"].between(0, 1).all()
    assert trials.loc[trials["best"], "score"].tolist() == [trials["score"].max()]
    assert trials["ppp.prototype_weight"].isna().tolist() == (trials["ppp.gate_width"] == 4).tolist()
    assert trials["ppp.target_rate"].nunique() == 5, "two workers do not draw the same"
    names = ("trials.csv", "run.json", "best.yaml")
    before = [(out / name).read_bytes() for name in names]
    sweep(settings, out, workers=2, beside=folder)
    assert [(out / name).read_bytes() for name in names] == before, "nothing is left to do"
    more = sweep(settings.replace(trials=6), out, beside=folder)
    pd.testing.assert_frame_equal(more.iloc[:5].drop(columns="best"), trials.drop(columns="best"))
    assert len(more) == 6
    assert len(sweep(settings, out, beside=folder)) == 6, "none is forgotten"
    assert "of 6 trials" in (out / "best.yaml").read_text()
    assert status(settings, out).startswith(
        "6 done, 0 pruned, 0 given up, 0 running, 0 dead, 0 waiting of 6 trials\nbest so far: trial "
    )
    with pytest.raises(
        UserError, match=r"out has a study with different budget, constraints, base: name another --out"
    ):
        sweep(settings.replace(budget=0.4, constraints={"score": 0.1}), out, beside=folder)


def test_a_pruner_sees_gates_of_persons_epoch_by_epoch_and_then_seed_by_seed(folder: Path, settings: Sweep):
    persons = {"ppp.training": "persons", "person_training.epochs": 3, "training.epochs": 1}
    space = {"person_training.temperature": {"low": 1.0, "high": 3.0}}
    changes = {"settings": persons, "space": space, "pruner": "median", "trials": 1, "seeds": (1000, 1001)}
    sweep(settings.replace(**changes), folder / "out", beside=folder)
    storage = storage_at("", folder / "out")
    (trial,) = optuna.load_study(study_name=settings.name, storage=storage).trials
    assert sorted(trial.intermediate_values) == [0, 1, 2, 3], (
        "three epochs, then the mean over the first seed's persons"
    )


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
    assert best.methods == ("full", "full+classes", "l1_local", "l1_local+retrain", "l1_local+retrain+classes", "ppp")
    assert main(["compare", str(folder / "out" / "best.yaml"), "--seeds=[0]", "--out", str(folder / "on-test")]) == 0


def test_what_the_best_has_to_beat_is_measured_on_the_same_persons(
    folder: Path, capsys: pytest.CaptureFixture[str], tracked: None
):
    out = folder / "out"
    assert main(["sweep", str(folder / "mine.yaml"), "--trials", "2", "--workers", "1", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "no importances.csv: 2 trials are complete, and importances need 20: 18 more" in printed.err
    trials, rows = pd.read_csv(out / "trials.csv"), pd.read_csv(out / "baselines.csv", keep_default_na=False)
    best = trials[trials["best"]].iloc[0]
    own = rows[(rows["method"] == "ppp") & (rows["control"] == "own")].iloc[0]
    assert own["score"] == best["score"]
    assert {"full", "full+classes", "l1_local", "l1_local+retrain", "l1_local+retrain+classes"} <= {*rows["method"]}
    assert {"random", "population", "other", "twin", "swap"} <= {*rows["control"]}
    told = printed.out.split("do better than the best trial, on the same persons")[1].split("All trials")[0]
    better = rows[(rows["score"] > own["score"] + 0.001) & rows["budget"].isin([0.5, 1.0])]
    for row in better.to_dict("records"):
        assert f"{row['method']} {row['control']}".strip() + " +" in told
    assert ("is beaten by nothing" in told) >= (len(better) == 0)
    for row in trials.to_dict("records"):
        assert (out / row["folder"] / "journal.jsonl").exists()
        assert len([*(out / "wandb").glob(f"offline-run-*-{row['run']}")]) == 1
    runs = [*(out / "wandb").glob("offline-run-*")]
    assert f"Offline W&B runs: {len(runs)}: wandb sync" in printed.out
    assert len(runs) == 3, "of two trials and of the study"
    assert main(["results", "check", str(out)]) == 0


def test_a_later_call_continues_the_runs_of_a_study(folder: Path, settings: Sweep, tracked: None):
    out = folder / "out"
    for trials in (1, 2):
        sweep(settings.replace(trials=trials, space=QUICK), out, beside=folder)
    runs = {path.name.rpartition("-")[2] for path in (out / "wandb").glob("offline-run-*")}
    assert len(runs) == 3, "two trials and one study"


def test_notices_of_a_trial_begin_with_its_number(capsys: pytest.CaptureFixture[str]):
    with about("trial 7"):
        notice("training full")
    notice("training full")
    assert capsys.readouterr().err == "pppl: trial 7: training full\npppl: training full\n"


def test_several_objectives_give_a_front(folder: Path, settings: Sweep):
    both = settings.replace(objectives=("score", "macs_fraction"), space=QUICK, sampler="nsga2", trials=8)
    trials = sweep(both, folder / "out", beside=folder)
    points = trials[["score", "macs_fraction"]].to_numpy()
    beaten = [
        any(a >= accuracy and m <= macs and (a, m) != (accuracy, macs) for a, m in points) for accuracy, macs in points
    ]
    assert trials["pareto"].tolist() == [not each for each in beaten]
    assert trials.loc[trials["best"], "score"].tolist() == [trials["score"].max()]
    assert trials["macs_fraction"].between(0.25, 0.9).all()
    best = Experiment.load(folder / "out" / "best.yaml")
    assert best.searched == {"ppp": 8}
    assert list(best.budgets) == trials.loc[trials["best"], "budget"].tolist()
    assert (folder / "out" / "figures" / "pareto.png").exists()


def test_hopeless_trials_are_ended_early(folder: Path, settings: Sweep):
    space = {"training.learning_rate": {"low": 3e-3, "high": 0.3, "log": True}}
    pruned = settings.replace(
        space=space, settings={"training.epochs": 3}, pruner="median", sampler="random", trials=15, budget=0.9
    )
    trials = sweep(pruned, folder / "out", beside=folder)
    assert len(trials) == 15, "those that were ended count"
    ended = trials[trials["state"] == "pruned"]
    assert ended["score"].isna().all()
    assert not ended["best"].any()
    assert f", {len(ended)} pruned, " in status(pruned, folder / "out")
    tried = optuna.load_study(study_name=settings.name, storage=storage_at("", folder / "out")).trials
    early = [trial for trial in tried if trial.state == TrialState.PRUNED]
    assert len(early) == len(ended) > 0
    for trial in early:
        before = [each for each in tried[: trial.number] if each.state == TrialState.COMPLETE]
        step = max(trial.intermediate_values)
        assert step >= 1, "the first of three epochs tells nothing"
        assert max(trial.intermediate_values.values()) < np.median([each.intermediate_values[step] for each in before])


def test_watching_changes_nothing_of_a_training(folder: Path, settings: Sweep, monkeypatch: pytest.MonkeyPatch):
    changes = {"space": {"ppp.target_rate": {"choices": [0.3, 0.6]}}, "trials": 3, "settings": {"training.epochs": 2}}
    tables, reported = [], []
    for pruner in ("none", "median"):
        monkeypatch.setenv("PPPL_CACHE", str(folder / pruner / "cache"))
        trials = sweep(settings.replace(pruner=pruner, **changes), folder / pruner, beside=folder)
        tables.append(trials[["score", "own_minus_other", "macs_fraction"]])
        tried = optuna.load_study(study_name=settings.name, storage=storage_at("", folder / pruner)).trials
        reported.append([len(trial.intermediate_values) for trial in tried])
    assert reported == [[0, 0, 0], [2, 2, 0]], "the third had the same values, and its network was there"
    pd.testing.assert_frame_equal(*tables)


def test_a_trial_is_one_run_and_the_study_another(
    folder: Path, settings: Sweep, tracked: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PPPL_CACHE", str(folder / "cache"))
    trials = sweep(settings.replace(trials=2), folder / "out", beside=folder)
    runs = {}
    for path in (folder / "out" / "wandb").glob("offline-run-*/*.wandb"):
        records = whole_run(path)
        (run,) = (record.run for record in records if record.WhichOneof("record_type") == "run")
        runs[run.display_name] = run, records
        assert run.run_group == "mine"
    assert sorted(runs) == ["mine", "mine-0", "mine-1"]
    run, records = runs["mine-1"]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["ppp.target_rate"] == trials["ppp.target_rate"][1]
    history = [record.history for record in records if record.WhichOneof("record_type") == "history"]
    keys = {_name(item) for each in history for item in each.item}
    assert {"ppp-seed1000/val_accuracy", "ppp-seed1000/epoch", "persons._type"} <= keys, "curves and the table"
    updates = [record.summary for record in records if record.WhichOneof("record_type") == "summary"]
    summary = {_name(item): json.loads(item.value_json) for each in updates for item in each.update}
    assert summary["score"] == trials["score"][1]
    before = sorted((folder / "out" / "wandb").glob("offline-run-*"))
    sweep(settings.replace(trials=2), folder / "out", beside=folder)
    assert sorted((folder / "out" / "wandb").glob("offline-run-*")) == before, "nothing was left to do"


def _name(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


def test_the_best_keeps_to_its_constraints(folder: Path, settings: Sweep):
    free = sweep(settings.replace(trials=4), folder / "free", beside=folder)
    bound = float(free["own_minus_other"].max())
    bounded = settings.replace(trials=4, constraints={"own_minus_other": bound, "macs_fraction": 1.0})
    trials = sweep(bounded, folder / "bounded", beside=folder)
    assert trials["score"].tolist() == free["score"].tolist(), "the sampler's seed is its own"
    assert trials["feasible"].tolist() == (trials["own_minus_other"] >= bound).tolist()
    assert trials.loc[trials["best"], "score"].tolist() == [trials.loc[trials["feasible"], "score"].max()]


def test_a_trial_that_was_taken_for_dead_is_left_to_who_has_it_now(
    folder: Path, settings: Sweep, monkeypatch: pytest.MonkeyPatch
):
    out, run = output_folder(folder / "out"), workers_module.run_trial

    def overtaken(trial: optuna.Trial, *others: Any) -> Any:
        if trial.number == 1:
            trial.study.tell(trial.number, state=TrialState.FAIL)
        return run(trial, *others)

    monkeypatch.setattr(workers_module, "run_trial", overtaken)
    base, dataset = open_experiment(base_of(settings, folder))
    queue_of(settings, base, [dataset.sha256], out, "")
    workers_module.work_on(workers_module.Work(settings=settings, base=base, folder=out, storage=""))
    study = optuna.load_study(study_name=settings.name, storage=storage_at("", out))
    check_all_finished_once(study, 5)
    assert [trial.number for trial in study.trials if trial.state == TrialState.FAIL] == [1]


def test_a_base_keeps_what_a_method_is_built_on(folder: Path, settings: Sweep):
    tree = yaml.safe_load((folder / "base.yaml").read_text())
    own = {"l1_local+retrain": {"retrain.epochs": 3}, "l1_local+retrain+quant": {"quantize.bits": 3}}
    (folder / "base.yaml").write_text(yaml.safe_dump(tree | {"settings": own}))
    base = base_of(settings.replace(method="l1_local+retrain+quant"), folder)
    assert (base.retrain.epochs, base.quantize.bits) == (3, 3)


def test_status_says_dead_as_often_as_it_is_asked(folder: Path, settings: Sweep):
    out = output_folder(folder / "out")
    base, dataset = open_experiment(base_of(settings, folder))
    queue = queue_of(settings, base, [dataset.sha256], out, "")
    with queue.life.living():
        assert queue.take() is not None
        worker = queue.life.worker
        assert status(settings, out).startswith("0 done, 0 pruned, 0 given up, 1 running, 0 dead, 4 waiting of 5")
    (out / "workers" / worker).touch()  # as a kill leaves it
    for _ in range(2):
        assert status(settings, out).startswith("0 done, 0 pruned, 0 given up, 0 running, 1 dead, 4 waiting of 5")


def test_values_that_are_impossible_together_are_given_up(folder: Path, settings: Sweep):
    space = {"budget": {"choices": [0.3, 0.9]}, "pruning.round_to": {"choices": [1, 8]}}
    trials = sweep(settings.replace(space=space, budget=0.7, sampler="random", trials=8), folder / "out", beside=folder)
    together = (trials["budget"] == 0.3) & (trials["pruning.round_to"] == 8)
    assert 0 < together.sum() < 8
    assert (trials["state"] == np.where(together, "given up", "complete")).all()


def test_a_mean_over_seeds_is_compared_with_those_of_others():
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=8))
    for value in np.linspace(0.8, 0.9, 8):
        trial = study.ask()
        trial.report(float(value), 20)
        study.tell(trial, float(value))
    trial = study.ask()
    trial.report(0.95, 19)  # an epoch on a few persons
    trial.report(0.4, 20)
    assert not trial.should_prune(), "what Optuna makes of it"
    assert is_behind(trial, 0.4, 20)
    assert not is_behind(trial, 0.86, 20)
    assert not is_behind(trial, 0.4, 21), "nobody was there before"


def test_what_matters_is_inside_its_interval():
    """Also what hardly does: trials that count twice would look alike in everything."""
    study, rng = optuna.create_study(direction="maximize"), np.random.default_rng(0)
    space = {name: {"low": 0.0, "high": 1.0} for name in "abcd"}
    distributions = {name: optuna.distributions.FloatDistribution(0, 1) for name in space}
    for _ in range(60):
        params = {name: float(rng.random()) for name in space}
        value = -abs(params["a"] - 0.5) - 0.1 * params["b"]
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=value))
    shares = importances(Sweep(base="x", space=space), study.trials)
    assert shares["key"][0] == "a"
    assert (shares["importance_low"] < shares["importance"]).all()
    assert (shares["importance"] < shares["importance_high"]).all()
    assert shares["importance_low"][0] > shares["importance"][2]


def test_values_are_of_their_kind(settings: Sweep):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = settings.space | {"ppp.prototype_scale": {"low": 1, "high": 9, "step": 4}}
    drawn = [suggest(study.ask(), space) for _ in range(40)]
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
        ({"space": {"persons.count": {"choices": [3]}}}, "trials must have the same method, seeds, persons and data"),
        ({"space": {"data.classes": {"choices": [0, 4]}}}, "trials must have the same method, seeds, persons and data"),
        ({"space": {"ppp.target_rate": {"choices": [1.0], "when": {"ppp.gate_width": [4]}}}}, "it takes keys above it"),
        ({"constraints": {"mac": 0.1}}, "unknown constraint 'mac': known: macs_fraction, own_minus_other, score"),
        ({"method": "pp"}, "unknown method 'pp'"),
        ({"settings": {"persons.cont": 3}}, "unknown key 'persons.cont'"),
        ({"base": "nowhere.yaml"}, "cannot read nowhere.yaml"),
        ({"trials": 0}, "trials is 0: at least 1"),
        (
            {"space": {"ppp.gate_width": {"low": 4, "high": 8, "step": 0}}},
            "space.ppp.gate_width.step is 0: more than 0",
        ),
        ({"space": {"ppp.gate_width": {"low": 4, "high": 8, "step": 0.5}}}, "is 0.5: its range holds integers"),
        ({"space": {"ppp.gate_width": {"low": 4, "high": 8, "log": 2}}}, "log is 2: true or false"),
        ({"space": {"ppp.gate_width": {"choices": [4], "when": 8}}}, "when is 8: write {other.key: "),
        ({"space": {1: {"choices": [4]}}}, "space.1: unknown key"),
        ({"space": {"budgets": {"choices": [[0.1]]}}}, "budgets is set by the sweep itself"),
        ({"space": {"budget": {"low": 0.0001, "high": 0.5}}}, "space.budget: 0.0001: budget .* is too small"),
        ({"settings": {"seeds": [1]}}, "seeds is set by the sweep itself"),
        (
            {"settings": {"persons.split": "random"}},
            "is split by seed, so validation persons of one seed are test persons of another",
        ),
        ({"constraints": {"score": float("nan")}}, "constraints.score is nan: a number"),
        ({"objectives": ["macs_fraction"]}, r"objectives is \[macs_fraction\]: \[score\] or \[score, macs_fr"),
        ({"objectives": ["score", "macs_fraction"], "pruner": "median"}, "with several objectives: set pruner to none"),
        ({"method": "ocap", "pruner": "median"}, "ocap trains no gates for it to watch: set pruner to none"),
    ],
)
def test_mistakes_are_told_before_the_first_trial(folder: Path, changes: dict[str, Any], message: str):
    tree = yaml.safe_load((folder / "mine.yaml").read_text()) | changes
    (folder / "mine.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(UserError, match=message):
        sweep(Sweep.load(folder / "mine.yaml"), folder / "out", beside=folder)
    assert not (folder / "out" / "study.log").exists()


def test_a_metric_of_which_less_is_better_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(TASKS["classification"], "metrics", (METRICS["MAE"],))
    with pytest.raises(UserError, match="is compared in MAE, of which less is better"):
        sweep(Sweep.load(folder / "mine.yaml"), folder / "out", beside=folder)


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

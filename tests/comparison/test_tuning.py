"""The one procedure by which every method's knobs are chosen, and the table that tells what each was given."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pppl import Experiment
from pppl.cli.command import main
from pppl.comparison.compare import compare
from pppl.comparison.effort import _count_settings
from pppl.comparison.tuning import as_settings, tune
from pppl.personalizers import make_personalizers
from pppl.system.errors import UserError

pytestmark = pytest.mark.usefixtures("sketched")

TUNING = {"l1+finetune": {"finetune.pruned_steps": [1, 40], "finetune.pruned_learning_rate": [1e-3]}}


@pytest.fixture
def experiment(tiny: Experiment) -> Experiment:
    methods = ["full", "l1+finetune", "l1", "ppp"]
    return tiny.replace(methods=methods, tuning=TUNING, seeds=[0], **{"persons.classes": [2, 3], "training.epochs": 4})


def test_the_best_on_validation_persons_is_chosen(experiment: Experiment, tmp_path: Path):
    tuned = tune(experiment, tmp_path)
    assert tuned["method"].tolist() == ["l1+finetune"] * 2
    assert [json.loads(each)["finetune.pruned_steps"] for each in tuned["settings"]] == [1, 40]
    best = tuned.loc[tuned["score"].idxmax()]
    assert tuned["score"].nunique() == 2, "more steps make a difference here"
    assert tuned.loc[tuned["chosen"], "settings"].tolist() == [best["settings"]]
    assert yaml.safe_load(as_settings(tuned)) == {"settings": {"l1+finetune": json.loads(best["settings"])}}
    # The same by a comparison of this method on validation persons.
    own = {"persons.query": "validation", "seeds": [1000], "settings": {"l1+finetune": json.loads(best["settings"])}}
    compare(experiment.replace(methods=["l1+finetune"], tuning={}, **own), tmp_path / "peer")
    peer = pd.read_csv(tmp_path / "peer" / "table.csv.gz")
    assert peer["score"].mean() == pytest.approx(best["score"], abs=1e-6)
    assert len(peer) == best["n"]


def test_what_is_finished_is_not_tried_again(experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = tune(experiment, tmp_path)
    monkeypatch.setattr("pppl.comparison.execution._compute_chunk", None)  # nothing is left to compute
    pd.testing.assert_frame_equal(tune(experiment, tmp_path), first)


def test_errors_come_before_the_first_trial(experiment: Experiment, tmp_path: Path):
    for tuning, message in (
        ({"ocap": {"ocap.top": [0.1]}}, "tuning names none of the methods full, l1"),
        ({"l1": {"static.sample": [3]}}, "unknown key 'static.sample'"),
        ({"l1": {"static.samples": [3, 0]}}, "static.samples is 0"),
        ({"l1": {"ppp.target_rate": [0.1]}}, "ppp.target_rate, which all gated methods share: tune it for ppp"),
        ({"l1": {"persons.query": ["test"]}}, "tuning of method l1 holds persons.query: what can be tuned is in "),
    ):
        with pytest.raises(UserError, match=message):
            tune(experiment.replace(tuning=tuning), tmp_path / "none")
    assert not list(tmp_path.rglob("*.jsonl"))
    with pytest.raises(UserError, match=r"tuning of method l1 names no value of static\.samples"):
        experiment.replace(tuning={"l1": {"static.samples": []}})
    for changes, message in (
        ({"seeds": [1000]}, "seeds contain 1000, the seed that settings are tuned with"),
        ({"persons.split": "random"}, "digits is split by seed, so persons that tune with one seed would test"),
    ):
        with pytest.raises(UserError, match=message):
            tune(experiment.replace(**changes), tmp_path / "none")
    with pytest.raises(UserError, match="unknown method 'l3'"):
        compare(experiment.replace(tuning={"l3": {}}), tmp_path / "none")


def test_a_method_is_tuned_as_it_will_be_compared(experiment: Experiment, tmp_path: Path):
    """By itself, not with its further rates, and with what it inherits."""
    tuning = {"diff": {"diff.fixed_steps": [1, 2]}, "l1+finetune+quant": {"quantize.bits": [1, 8]}}
    methods, settings = ["diff", "l1+finetune+quant"], {"l1+finetune": {"finetune.pruned_steps": 30}}
    tried = experiment.replace(**{"methods": methods, "tuning": tuning, "settings": settings, "diff.rates": [0.1, 0.3]})
    tuned = tune(tried, tmp_path)
    persons = len(experiment.persons.classes) * experiment.persons.count
    assert tuned["n"].tolist() == [persons] * 2 + [persons * len(experiment.budgets)] * 2
    rows = pd.read_json(next((tmp_path / "tuning").glob("l1+finetune+quant-*")) / "journal.jsonl", lines=True)
    assert set(rows["retrain_samples"] / rows["shots"] / rows["persons"].str[0].astype(int)) == {30}
    own = {f"{size} classes": size for size in experiment.persons.classes}
    assert len(own) == rows["persons"].nunique()


def test_effort_tells_samples_labels_and_steps(experiment: Experiment, tmp_path: Path):
    compare(experiment, tmp_path)
    effort = pd.read_csv(tmp_path / "effort.csv", keep_default_na=False)
    table = pd.read_csv(tmp_path / "table.csv.gz", keep_default_na=False)
    both = table.merge(effort, on=["persons", "seen", "method", "control"])
    assert len(both) == len(table)
    assert (both["retrain_samples"] == both["samples"] * both["device_steps"]).all()
    shots = experiment.persons.shots
    of_two = effort.query("persons == '2 classes'")
    assert dict(zip(of_two["method"] + " " + of_two["control"], of_two["samples"], strict=True)) == {
        "full ": 0,
        "l1+finetune ": 2 * shots,
        "l1 ": 0,
        "ppp own": 2 * shots,
        "ppp population": 4 * shots,  # of two persons
        "ppp other": 2 * shots,
        "ppp twin": 2 * shots,
        "ppp swap": 2 * shots,
        "ppp random": 0,
    }
    labelled = effort.query("labels > 0")
    assert set(labelled["method"]) == {"l1+finetune"}
    assert (labelled["labels"] == labelled["samples"]).all()
    tried = dict(zip(effort["method"], effort["settings_tried"], strict=True))
    assert tried == {"full": 1, "l1+finetune": 1, "l1": 1, "ppp": 1}, "nothing was chosen"


def test_effort_counts_settings_of_which_one_was_chosen(experiment: Experiment):
    chosen = {"l1+finetune": {"finetune.pruned_steps": 1, "finetune.pruned_learning_rate": 1e-3}}
    methods = ["l1+finetune", "gated", "gated_dynamic", "ppp+bn"]
    own = experiment.replace(methods=methods, settings=chosen, searched={"ppp": 5, "ppp+bn": 2})
    of_method = {each.method: _count_settings(own, each) for each in make_personalizers(own)}
    assert of_method == {"l1+finetune": 2, "gated": 5, "gated_dynamic": 5, "ppp+bn": 7}
    variants = ["ppp", "ppp@mine", "ppp@mine+bn", "ppp@other", "l1+diff"]
    settings = {"ppp@mine": {"ppp.target_rate": 0.1}, "ppp@other": {"ppp.target_rate": 0.3}}
    searched = {"ppp": 5, "ppp@mine": 3, "ppp@mine+bn": 2, "l1+diff": 4}
    own = experiment.replace(methods=variants, settings=settings, searched=searched)
    own = own.replace(tuning={}, **{"diff.rates": [0.01, 0.1]})
    of_method = {each.method: _count_settings(own, each) for each in make_personalizers(own)}
    diff = {"l1+diff": 4, "l1+diff@0.1": 4}
    assert of_method == {"ppp": 5, "ppp@mine": 3, "ppp@mine+bn": 5, "ppp@other": 1, **diff}, "a variant's are its own"


def test_the_command_prints_what_was_chosen(tiny_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tree = yaml.safe_load(tiny_yaml.read_text())
    tree |= {"methods": ["l1+finetune"], "tuning": TUNING, "seeds": [0]}
    tiny_yaml.write_text(yaml.safe_dump(tree))
    assert main(["compare", str(tiny_yaml), "--tune", "--workers", "1", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    block = yaml.safe_load(printed[printed.index("settings:") :])
    assert list(block["settings"]) == ["l1+finetune"]
    assert "chosen" in printed

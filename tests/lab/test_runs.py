"""Any run of before is opened in one line."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from stub_training import sketching

from pppl import Experiment, compare, load_run
from pppl.comparison.train import train
from pppl.lab import LoadedRun, ResultsFrame
from pppl.system.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tiny: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    with sketching():
        summary = compare(tiny.replace(methods=["full", "ppp", "l1_local"], seeds=[0, 1]), out)
    assert isinstance(summary, ResultsFrame)
    return out


def test_a_comparison_is_rebuilt_with_its_persons_and_networks(folder: Path):
    run = load_run(folder, seed=1)
    assert run.experiment.methods == ("full", "ppp", "l1_local")
    kept = run.table.query("seed == 1 and budget == 0.5")
    for method, control in (("ppp", "own"), ("l1_local", "")):
        rows = kept[(kept["method"] == method) & (kept["control"] == control)].set_index(["persons", "identity"])
        for person in run.persons:
            row = rows.loc[(person.persons, person.identity)]
            personal = run.personalize(person, method=method, budget=0.5)
            assert run.accuracy(personal, person) == pytest.approx(row["score"], abs=1e-7)
            assert (personal.cost.macs, personal.bytes) == (row["macs"], row["artifact_bytes"])
    whole = run.personalize(run.persons[0], method="full")
    assert whole.cost == whole.full
    assert run.accuracy(run.global_model().full, run.persons[0]) == run.accuracy(whole, run.persons[0])


def test_other_settings_keep_persons_and_networks(folder: Path):
    run = load_run(folder)
    rounded = run.changed(pruning__round_to=4).personalize(run.persons[0], budget=0.5)
    assert all(width % 4 == 0 for width in rounded.module.widths)


def test_a_training_is_opened_with_its_own_networks(tiny: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train(tiny.replace(methods=["full", "ppp"], seeds=[0]), tmp_path)
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path / "empty"))
    run = load_run(tmp_path)
    personal = run.personalize(run.persons[0], budget=0.5)
    assert 0 < personal.cost.macs <= 0.5 * personal.full.macs
    assert not (tmp_path / "empty").exists(), "nothing was trained"


def test_a_run_says_what_it_is(folder: Path):
    run = load_run(folder)
    assert "tiny, 3 methods, seeds 0, 1" in repr(run)
    assert "<code>summary.csv</code>" in run._repr_html_()


def test_plugins_of_a_run_are_found_from_the_folders_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    results = tmp_path / "results" / "own"
    results.mkdir(parents=True)
    (results / "run.json").write_text(json.dumps({"config": {"plugins": ["mine/nothing.py"]}}))
    (results / "mine").mkdir()
    (results / "mine" / "nothing.py").write_text("raise AssertionError('what came with results is never run')\n")
    monkeypatch.chdir(results.parent)  # the run was called from the folder above
    assert "mine/nothing.py is missing" in load_run("own").lost
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "nothing.py").write_text("")
    assert load_run("own").experiment.plugins == (str(tmp_path / "mine" / "nothing.py"),)


def test_text_tasks_have_tables_alone():
    run = load_run(ROOT / "results" / "minilm")
    assert set(run.summary["metric"]) == {"matthews", "accuracy and F1", "accuracy", ""}
    with pytest.raises(UserError, match="compares text tasks"):
        _ = run.persons


@pytest.mark.parametrize(
    ("name", "told"),
    [("digits_ppp", r"holds a sweep: study\('"), ("nothing", "has no run.json: name a folder that `pppl compare`")],
)
def test_what_is_no_run_is_refused(name: str, told: str):
    with pytest.raises(UserError, match=told):
        load_run(ROOT / "results" / name)


def test_what_a_run_lacks_is_refused_by_name(folder: Path):
    with pytest.raises(UserError, match=r"has no seed 7: choose from 0, 1"):
        load_run(folder, seed=7)
    with pytest.raises(UserError, match=r"has no stream.csv: it has .*summary.csv"):
        load_run(folder).frame("stream.csv")
    with pytest.raises(UserError, match="did you mean 'ppp'"):
        load_run(folder).personalize(load_run(folder).persons[0], method="pppp")


def test_a_damaged_table_is_refused(tmp_path: Path):
    run = LoadedRun(folder=tmp_path, about={}, settings=Experiment(), seed=0)
    (tmp_path / "summary.csv").write_bytes(b"")
    with pytest.raises(UserError, match=r"summary.csv is corrupted .*; remake it"):
        _ = run.summary
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "effort.csv")
    assert isinstance(run.frame("effort.csv"), ResultsFrame)


@pytest.fixture
def of_elsewhere(folder: Path, tmp_path: Path) -> Path:
    """A run of a method, a variant's step and a network that are registered on another machine alone."""
    out = tmp_path / "elsewhere"
    shutil.copytree(folder, out)
    run = json.loads((out / "run.json").read_text())
    run["config"]["methods"] += ["theirs", "l1+sharpen"]
    run["config"]["settings"] = {"theirs": {"finetune.steps": 3}, "l1_local": {"budgets": [0.2]}}
    run["config"]["searched"] = {"theirs": 4}
    (out / "run.json").write_text(json.dumps(run))
    return out


def test_a_run_with_methods_that_are_not_known_here_is_opened(of_elsewhere: Path):
    run = load_run(of_elsewhere)
    assert len(run.persons) == 4
    assert "5 methods" in repr(run)
    personal = run.personalize(run.persons[0], method="l1_local", budget=0.5)
    assert run.accuracy(personal, run.persons[0]) >= 0
    for method, named in {"theirs": "method 'theirs'", "l1+sharpen": "'sharpen'", "ppp+sharpen": "'sharpen'"}.items():
        with pytest.raises(UserError, match=f"unknown .*{named}"):
            run.personalize(run.persons[0], method=method, budget=0.5)


def test_a_run_of_a_network_that_is_not_known_here_is_opened(of_elsewhere: Path):
    run = json.loads((of_elsewhere / "run.json").read_text())
    run["config"]["backbone"] |= {"name": "theirnet", "options": {"depth": 3}}
    (of_elsewhere / "run.json").write_text(json.dumps(run))
    opened = load_run(of_elsewhere)
    assert len(opened.persons) == 4
    assert len(opened.table) > 0
    with pytest.raises(UserError, match="unknown backbone 'theirnet'"):
        opened.personalize(opened.persons[0], method="full")


def test_settings_of_a_misspelt_method_are_still_found(folder: Path):
    run = load_run(folder)
    with pytest.raises(UserError, match="unknown method 'l1_locl'"):
        run.changed(settings={"l1_locl": {"finetune.steps": 3}}).personalize(run.persons[0], method="full")

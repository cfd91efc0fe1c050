import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch

from pppl import Experiment, compare
from pppl.cli.command import main
from pppl.comparison.chance import warn_near_chance
from pppl.comparison.person_plan import PersonPlan
from pppl.data import IdentityDataset
from pppl.report.terminal import as_text
from pppl.system.errors import UserError
from pppl.tables.journal import COLUMNS, KEYS

TIMED = "personalize_seconds"


@pytest.fixture(scope="module")
def results(tiny: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    compare(tiny, folder)
    return folder


def _table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "table.csv.gz", keep_default_na=False)


def test_one_row_per_person_method_control_and_budget(tiny: Experiment, results: Path):
    table = _table(results)
    assert tuple(table.columns) == COLUMNS
    assert not table.duplicated(list(KEYS)).any()
    persons = len(tiny.seeds) * len(tiny.persons.classes) * tiny.persons.count
    rows_each = {"full": 1, "finetune": 1, "ppp": 12, "gated": 12, "ocap": 2, "l1": 2, "l1_local+finetune": 2}
    assert table["method"].value_counts().to_dict() == {name: rows * persons for name, rows in rows_each.items()}
    assert set(table.loc[table["method"] == "ppp", "control"]) == {
        "own",
        "population",
        "other",
        "twin",
        "swap",
        "random",
    }
    assert set(table["persons"]) == {"2 classes", "3 classes"}


def test_rows_keep_the_contract(results: Path):
    table = _table(results)
    assert (table["macs_fraction"] <= table["budget"]).all()
    assert table["score"].between(0, 1).all()
    assert table["seen"].all()
    full = table[table["method"] == "full"]
    assert (full["score"] == full["score_full"]).all()
    assert (full["macs_fraction"] == 1).all()
    assert (full["budget"] == 1).all()
    assert (table.loc[table["method"].isin(["ppp", "gated", "ocap", "l1", "full"]), "retrain_samples"] == 0).all()
    assert (table.loc[table["method"].str.endswith("finetune"), "retrain_samples"] > 0).all()
    per_person = table.groupby(["seed", "identity", "persons"])["score_full"].nunique()
    assert (per_person == 1).all()


def test_run_json_tells_where_the_results_come_from(tiny: Experiment, results: Path):
    run = json.loads((results / "run.json").read_text())
    assert run["config"] == tiny.replace(**{"persons.protocol": "classes"}).to_dict()  # what `auto` came to
    assert run["seeds"] == [0, 1]
    assert len(run["dataset_sha256"]) == 64
    assert run["packages"]["torch"]
    assert run["hardware"]["cores"] >= 1
    assert run["peak_memory_mib"] > 0
    (networks,) = run["networks_trained_on"].values()
    assert networks == [f"{kind}-seed{seed}" for seed in (0, 1) for kind in ("full", "gated", "ppp")]
    assert (run["workers"], run["persons_computed"], run["persons"]) == (1, 8, 8)


def test_figures_and_gates_are_written(results: Path):
    for name in ("accuracy_vs_macs", "gates"):
        assert (results / "figures" / f"{name}.png").stat().st_size > 10_000
        assert (results / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    gates = pd.read_csv(results / "gates.csv")
    assert len(gates) == 4 * (8 + 12 + 12)
    assert gates["probability"].between(0, 1).all()


@pytest.mark.usefixtures("sketched")
def test_a_second_call_computes_nothing_and_changes_nothing(tiny: Experiment, results: Path):
    def contents() -> dict[str, bytes]:
        names = ("table.csv.gz", "summary.csv", "run.json", "journal.jsonl", "gates.csv")
        return {name: (results / name).read_bytes() for name in names}

    before = contents()
    compare(tiny, results)
    assert contents() == before


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("content", [None, "", "persons,identity\n1,2\n"])
def test_a_damaged_gates_file_is_made_again(tiny: Experiment, results: Path, content: str | None):
    path = results / "gates.csv"
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_text(content)
    if content:  # which may be somebody's work
        with pytest.raises(UserError, match=r"gates\.csv was not written by pppl, or was changed since"):
            compare(tiny, results)
        assert path.read_text() == content
        path.unlink()
    compare(tiny, results)
    assert path.read_bytes() == whole


@pytest.mark.usefixtures("sketched")
def test_the_same_seed_gives_the_same_table(tiny: Experiment, results: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path / "empty"))  # networks are trained again, too
    compare(tiny.replace(seeds=[1], methods=["ppp", "l1_local+finetune"]), tmp_path / "again")
    again = _table(tmp_path / "again").drop(columns=TIMED)
    first = _table(results).drop(columns=TIMED)
    first = first[(first["seed"] == 1) & first["method"].isin(["ppp", "l1_local+finetune"])]
    pd.testing.assert_frame_equal(again, first.reset_index(drop=True))


@pytest.mark.usefixtures("sketched")
def test_a_method_or_budget_added_later_computes_only_its_rows(tiny: Experiment, tmp_path: Path):
    small = tiny.replace(seeds=[0], **{"persons.classes": [2]})
    compare(small.replace(methods=["ppp", "l1"]), tmp_path)
    before = _table(tmp_path)
    compare(small.replace(methods=["ppp", "l1", "ocap"], budgets=[0.2, 0.5, 0.8]), tmp_path)
    after = _table(tmp_path)
    kept = after.merge(before[list(KEYS)], on=list(KEYS))
    pd.testing.assert_frame_equal(kept, before, check_like=True)  # seconds too: these rows were not computed again
    assert len(after) == 2 * 3 * (6 + 1 + 1)


@pytest.mark.usefixtures("sketched")
def test_a_setting_makes_the_rows_stale_of_the_methods_that_read_it(tiny: Experiment, tmp_path: Path):
    small = tiny.replace(seeds=[0], methods=["full", "ppp", "l1_local+finetune", "diff"], **{"persons.classes": [2]})
    compare(small, tmp_path)
    before = _table(tmp_path)
    compare(small.replace(**{"finetune.pruned_steps": 3, "diff.rates": [0.005, 0.01]}), tmp_path)
    after = _table(tmp_path).merge(before, on=list(KEYS), suffixes=("", "_before"))
    same = after["personalize_seconds"] == after["personalize_seconds_before"]
    assert set(after["method"][same]) == {"full", "ppp", "diff"}
    assert set(after["method"][~same]) == {"l1_local+finetune"}
    assert len(_table(tmp_path)) == len(before) + 2, "diff@0.01 of two persons"


@pytest.mark.usefixtures("sketched")
def test_a_table_without_its_journal_is_gone_on_with(tiny: Experiment, results: Path, tmp_path: Path):
    for name in ("table.csv.gz", "run.json"):
        shutil.copy(results / name, tmp_path)
    compare(tiny, tmp_path)
    assert (tmp_path / "table.csv.gz").read_bytes() == (results / "table.csv.gz").read_bytes()
    again = tmp_path / "altered"
    again.mkdir()
    shutil.copy(results / "table.csv.gz", again)
    run = json.loads((results / "run.json").read_text())
    run["fingerprints"]["ocap"] = "another"
    (again / "run.json").write_text(json.dumps(run))
    compare(tiny, again)
    rows = _table(again).merge(_table(results), on=list(KEYS), suffixes=("", "_before"))
    same = rows["personalize_seconds"] == rows["personalize_seconds_before"]
    assert set(rows["method"][~same]) == {"ocap"}


def test_rows_of_other_networks_are_not_gone_on_with(tiny: Experiment, results: Path, tmp_path: Path):
    run = json.loads((results / "run.json").read_text())
    run["fingerprints"]["ocap"] = "another"
    (tmp_path / "run.json").write_text(json.dumps(run))
    table = _table(results)
    table["score_full"] = 0.5
    table.to_csv(tmp_path / "table.csv.gz", index=False)
    with pytest.raises(
        UserError, match=r"has rows of other networks: the accuracy of the full one on .* is 50\.0 \(%\) there, .* here"
    ):
        compare(tiny, tmp_path)


def test_results_on_other_data_are_not_replaced(tiny: Experiment, results: Path, tmp_path: Path):
    shutil.copytree(results, tmp_path / "out")
    before = (tmp_path / "out" / "table.csv.gz").read_bytes()
    x, y = np.random.default_rng(0).normal(size=(60, 1, 8, 8)).astype(np.float32), np.arange(60) % 3
    np.savez(tmp_path / "mine.npz", x=x, y=y, classes=["a", "b", "c"])
    others = tiny.replace(**{"data.name": str(tmp_path / "mine.npz"), "persons.classes": [2], "persons.shots": 1})
    with pytest.raises(UserError, match="holds results on digits, not on mine: name another --out"):
        compare(others, tmp_path / "out")
    assert (tmp_path / "out" / "table.csv.gz").read_bytes() == before


def test_a_full_network_at_chance_is_told(capsys: pytest.CaptureFixture[str]):
    four = IdentityDataset(name="four", x=torch.zeros(4, 1, 8), y=torch.arange(4), classes=tuple("abcd"))
    warn_near_chance("the full network", 0.25, four)
    told = "the full network has 25% on average, where guessing has 25%: train longer (training.epochs"
    assert told in capsys.readouterr().err
    warn_near_chance("the full network", 0.45, four)
    assert capsys.readouterr().err == ""


def test_seen_and_unseen_people_have_summaries_of_their_own():
    row = {"persons": "person", "method": "ppp", "control": "own", "budget": 0.1}
    rows = [row | {"seen": True, "score": 0.9}, row | {"seen": False, "score": 0.5}]
    headline = PersonPlan.headline(cast(PersonPlan, None), pd.DataFrame(rows))
    assert headline == {"person/ppp/own/0.1": 0.9, "person/unseen/ppp/own/0.1": 0.5}


@pytest.mark.slow
@pytest.mark.usefixtures("sketched")
def test_sigkill_loses_at_most_the_unit_in_hand(tiny_yaml: Path, results: Path, tmp_path: Path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "pppl", "compare", str(tiny_yaml), "--out", str(out), "--workers", "2"]
    process: subprocess.Popen[bytes] | None = None
    kills, journal = 0, out / "journal.jsonl"
    while kills < 1:
        lines = journal.read_text().count("\n") if journal.exists() else 0
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            while process.poll() is None:
                if journal.exists() and journal.read_text().count("\n") > lines:
                    os.kill(process.pid, signal.SIGKILL)
                    kills += 1
                    break
                time.sleep(0.002)
        finally:
            process.kill()
            process.wait()
        if process.returncode == 0:
            break
    assert kills >= 1, "the comparison ended before it could be killed"
    assert process is not None
    assert not (out / "table.csv.gz").exists() or process.returncode == 0
    finished = journal.read_text().splitlines()
    assert main(command[3:]) == 0
    pd.testing.assert_frame_equal(_table(out).drop(columns=TIMED), _table(results).drop(columns=TIMED))
    complete = [line for line in finished if line.endswith("}")]
    lines = [line for line in journal.read_text().splitlines() if line]
    assert lines[: len(complete)] == complete, "finished rows were computed again"


def test_bad_settings_are_told_before_anything_is_trained(tiny: Experiment, tmp_path: Path):
    for changes, message in (
        ({"budgets": [0.0001]}, "the least possible budget is"),
        ({"methods": ["pppp"]}, "did you mean 'ppp'"),
        ({"data.name": "digit"}, "did you mean 'digits'"),
        ({"backbone.name": "convnt"}, "did you mean 'convnet'"),
        ({"persons.classes": [11]}, "digits has 0 persons of 11 classes"),
    ):
        with pytest.raises(UserError, match=message):
            compare(tiny.replace(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_summary_is_readable(results: Path):
    summary = pd.read_csv(results / "summary.csv", keep_default_na=False)
    text = as_text(summary)
    lines = text.splitlines()
    told = "Accuracy in % [95 % interval] at a budget of 0.2 of the full network's MACs"
    assert lines[0] == f"{told}; samples trained on beyond it"
    assert lines[2].split("  ")[0] == "method"
    assert len(lines) == 4 + 17
    assert max(map(len, lines)) <= 120
    assert any(line.startswith("l1_local+finetune") and line.endswith("passes") for line in lines)
    assert any(line.startswith("ppp own") and line.endswith("passes for all") for line in lines), (
        "its gates are trained"
    )
    effort = pd.read_csv(results / "effort.csv", keep_default_na=False)
    (tuned,) = effort[(effort["method"] == "l1_local+finetune") & (effort["persons"] == "2 classes")].to_dict("records")
    (line,) = (each for each in as_text(summary, effort=effort).splitlines() if each.startswith("l1_local+finetune"))
    assert line.endswith(f" samples, {tuned['device_steps']} steps")
    assert any(line.startswith("l1 ") and line.endswith("nothing") for line in lines)


def test_the_summary_keeps_budgets_apart(results: Path):
    summary = pd.read_csv(results / "summary.csv", keep_default_na=False)
    everything = summary[summary["budget"] == 0.5].assign(budget=1.0, macs_fraction=1.0)
    text = as_text(pd.concat([summary, everything]), unit="params")
    assert text.startswith("Accuracy in % [95 % interval] at a budget of 0.2 of the full network's parameters")
    (line,) = (line for line in text.splitlines() if line.startswith("ppp own"))
    macs = summary[(summary["method"] == "ppp") & (summary["control"] == "own") & (summary["budget"] == 0.2)]
    assert f"{macs['macs_fraction'].mean():.1%}" in line

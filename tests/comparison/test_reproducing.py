"""Results made again from their `run.json` alone, and compared with those that were kept."""

import importlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from tiny_encoder import make_encoder, write_task

from pppl import Experiment, TextExperiment, compare
from pppl.cli.command import main
from pppl.comparison import task_plan
from pppl.comparison.reproduce import reproduce
from pppl.comparison.result_kinds import ResultKind, TextResults
from pppl.config import Sweep
from pppl.data import IdentityDataset
from pppl.diff import base_sha256
from pppl.sweeping.supervisor import work_on
from pppl.sweeping.sweep_results import SweepResults
from pppl.system.errors import UserError
from pppl.tables.agreement import agreement
from pppl.text.adapt import prepare
from pppl.text.encoder import TextClassifier


@pytest.fixture(scope="module", autouse=True)
def _without_tracking() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        yield


@pytest.fixture(scope="module")
def experiment(tiny: Experiment) -> Experiment:
    changes = {"persons.classes": [2], "training.epochs": 1, "seeds": [0], "budgets": [0.5]}
    return tiny.replace(methods=["full", "ppp", "l1"], **changes)


@pytest.fixture(scope="module")
def made(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was kept, and below `out` what was made of it once."""
    folder = tmp_path_factory.mktemp("made")
    compare(experiment, folder / "kept" / "mine")
    reproduce([folder / "kept" / "mine"], folder / "out")
    return folder


@pytest.fixture
def kept(made: Path, tmp_path: Path) -> Path:
    """A copy whose results are to be altered; what was made again of them is beside it, in `out`."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "kept" / "mine"


@pytest.fixture
def out(kept: Path) -> Path:
    return kept.parents[1] / "out"


def _edit(folder: Path, change: Callable[[dict], None]) -> None:
    run = json.loads((folder / "run.json").read_text())
    change(run)
    (folder / "run.json").write_text(json.dumps(run))


def _row(out: Path) -> dict:
    (row,) = pd.read_csv(out / "reproduced.csv", keep_default_na=False).to_dict("records")
    return row


def test_on_the_same_machine_every_number_is_the_same(made: Path):
    row = _row(made / "out")
    assert (row["folder"], row["kind"], row["verdict"], row["reason"]) == ("mine", "comparison", "reproduced", "")
    assert row["rows"] == row["equal"] == row["within"] == row["overlapping"] == 8  # ppp has six controls
    assert (row["missing"], row["outside"]) == (0, 0)
    rows = pd.read_csv(made / "out" / "mine" / "agreement.csv")
    assert rows["row"].tolist()[:2] == ["full, 1.0", "ppp, own, 0.5"], "named by what differs between rows"
    assert len([*(made / "out" / "cache").glob("*.safetensors")]) == 2, "networks were trained, not taken"
    assert os.environ["PPPL_CACHE"] != str(made / "out" / "cache")


def test_what_is_finished_is_not_computed_again(kept: Path, out: Path, capsys):
    def contents() -> dict[str, bytes]:
        names = ("table.csv.gz", "run.json", "journal.jsonl", "agreement.csv")
        return {name: (out / "mine" / name).read_bytes() for name in names}

    before = contents()
    (kept.parent / "README.md").touch()
    everything = map(str, [*kept.parent.iterdir(), out])  # as a shell's pattern gives it
    assert main(["results", "reproduce", *everything, "--out", str(out), "--workers", "1"]) == 0
    assert contents() == before
    assert "reproduced" in capsys.readouterr().out


def test_a_row_outside_is_named(kept: Path, out: Path, capsys):
    summary = pd.read_csv(kept / "summary.csv")
    chosen = (summary["method"] == "ppp") & (summary["control"] == "own")
    summary.loc[chosen, ["score", "score_low", "score_high"]] = 2.0, 1.9, 2.1
    summary.to_csv(kept / "summary.csv", index=False)
    assert main(["results", "reproduce", str(kept), "--out", str(out), "--workers", "1"]) == 2
    error = capsys.readouterr().err
    assert "mine: ppp, own, 0.5: " in error
    assert "kept 2.0000 [1.9000, 2.1000]" in error
    assert "not reproduced: mine" in error
    row = _row(out)
    assert (row["verdict"], row["within"], row["outside"], row["overlapping"]) == ("differs", 7, 1, 7)
    assert row["reason"] == "87.5% of 8 rows are within"


def test_a_row_that_is_not_made_again_is_missing(kept: Path, out: Path, capsys):
    summary = pd.read_csv(kept / "summary.csv")
    extra = summary[summary["method"] == "l1"].assign(method="l3")
    pd.concat([summary, extra]).to_csv(kept / "summary.csv", index=False)
    assert main(["results", "reproduce", str(kept), "--out", str(out), "--workers", "1"]) == 2
    assert "mine: l3, 0.5: missing" in capsys.readouterr().err
    assert (_row(out)["verdict"], _row(out)["missing"], _row(out)["rows"]) == ("differs", 1, 8)


def test_absent_data_are_told_and_nothing_is_computed(kept: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setenv("PPPL_DATA", str(tmp_path / "nothing"))
    _edit(kept, lambda run: run["config"]["data"].update(name="omniglot"))
    assert main(["results", "reproduce", str(kept), "--out", str(tmp_path / "new")]) == 2
    assert "mine: skipped: data set omniglot is not there" in capsys.readouterr().err
    assert _row(tmp_path / "new")["verdict"] == "skipped"
    assert not (tmp_path / "new" / "mine").exists()


def test_other_data_are_told(kept: Path, out: Path):
    _edit(kept, lambda run: run.update(dataset_sha256="0" * 64))
    (row,) = reproduce([kept], out).to_dict("records")
    assert (row["verdict"], row["reason"]) == (
        "skipped",
        "data set digits is another than that of these results, by its SHA-256",
    )


def test_a_setting_that_is_gone_matters_where_it_is_read(kept: Path, out: Path):
    _edit(kept, lambda run: run["config"]["diff"].update(gate_rate=0.1))
    (row,) = reproduce([kept], out).to_dict("records")
    assert (row["verdict"], row["equal"]) == ("reproduced", 8)
    _edit(kept, lambda run: run["config"]["ppp"].update(gate_rate=0.1))
    (row,) = reproduce([kept], out).to_dict("records")
    assert row["verdict"] == "failed"
    assert "setting ppp.gate_rate is of another version: check out " in row["reason"]


def test_results_that_were_not_begun_here_are_not_taken_for_new_ones(kept: Path, tmp_path: Path):
    shutil.copytree(kept, tmp_path / "new" / "mine")
    (row,) = reproduce([kept], tmp_path / "new").to_dict("records")
    assert row["verdict"] == "failed"
    assert "has files that were not made by" in row["reason"]


def test_what_was_kept_is_not_written_into(kept: Path, capsys):
    before = (kept / "table.csv.gz").read_bytes()
    assert main(["results", "reproduce", str(kept), "--out", str(kept.parent)]) == 2
    assert "name another --out" in capsys.readouterr().err
    assert (kept / "table.csv.gz").read_bytes() == before


def test_folders_that_are_not_there_or_have_one_name_are_refused_before_anything_is_computed(kept: Path, capsys):
    new = kept.parents[1] / "new"
    for folders, told in (
        ([kept, kept], "two folders are called mine"),
        ([kept.parent / "none"], "no such folder"),
        ([new], "no folder of results was named"),
    ):
        assert main(["results", "reproduce", *map(str, folders), "--out", str(new)]) == 2
        assert told in capsys.readouterr().err
    assert not new.exists()


def test_folders_of_earlier_calls_stay_in_the_table(kept: Path, out: Path):
    (kept.parent / "other").mkdir()
    (row,) = reproduce([kept.parent / "other"], out).to_dict("records")
    assert (row["verdict"], row["reason"]) == ("skipped", "no run.json with the settings that made it")
    assert pd.read_csv(out / "reproduced.csv")["folder"].tolist() == ["mine", "other"]


def _made_from_run_alone(kept: Path, run: dict, kind: ResultKind) -> dict:
    """What comes of a folder that is made of no more than a `run.json`, then kept, and looked at again."""
    kept.mkdir()
    (kept / "run.json").write_text(json.dumps(run))
    out = kept.parent / "out"
    (row,) = reproduce([kept], out, kinds=[kind]).to_dict("records")
    assert row["verdict"] == "failed"
    assert row["reason"].startswith("cannot read "), "it was made, and nothing was kept to compare with"
    shutil.copytree(out / kept.name, kept, dirs_exist_ok=True)
    (row,) = reproduce([kept], out, kinds=[kind]).to_dict("records")
    return row


def test_a_sweep_is_made_again_from_the_experiment_that_it_kept(
    experiment: Experiment, digits: IdentityDataset, tmp_path: Path, monkeypatch
):
    # In this process: another takes seconds to begin.
    module = importlib.import_module("pppl.sweeping.sweep")
    monkeypatch.setattr(module, "supervise", lambda work, *_: work_on(work))
    space = {"budget": {"low": 0.3, "high": 0.9}}
    config = Sweep(name="search", base="gone.yaml", space=space, budget=0.5, trials=2, seeds=(0,)).to_dict()
    base = experiment.replace(methods=["ppp"], **{"persons.query": "validation"}).to_dict()
    run = {"config": config, "experiment": base, "dataset_sha256": digits.sha256, "weights_sha256": ""}
    row = _made_from_run_alone(tmp_path / "search", run, SweepResults())
    assert (row["kind"], row["verdict"]) == ("sweep", "reproduced")
    assert row["rows"] == row["equal"] == 3, "the best, and two trials"
    _alter_a_value(tmp_path / "search" / "trials.csv")
    rows = SweepResults().agreement(tmp_path / "search", tmp_path / "out" / "search")
    assert len(rows) == 2, "a trial with other values is not compared"


def _alter_a_value(path: Path) -> None:
    trials = pd.read_csv(path)
    trials.loc[0, "budget"] += 0.1
    trials.to_csv(path, index=False)


def test_text_tasks(tmp_path: Path, monkeypatch):
    pytest.importorskip("transformers", reason="the extra `text` is not installed")
    encoder, task = make_encoder(tmp_path / "encoder"), write_task(tmp_path / "two.csv")
    settings = TextExperiment(encoder=encoder, tasks=(task,), methods=("bias_norm",), batch_size=8, search=(1.0,))
    run = {
        "config": settings.replace(epochs=1, seeds=[0], compiled=False).to_dict(),
        "dataset_sha256": {task: prepare(encoder, task).sha256},
        "weights_sha256": base_sha256(TextClassifier(encoder, 1).encoder),
    }
    row = _made_from_run_alone(tmp_path / "texts", run, TextResults())
    assert (row["kind"], row["verdict"], row["rows"], row["equal"]) == ("tasks", "reproduced", 1, 1)
    monkeypatch.setattr(task_plan, "encoder_sha256", _missing)
    (row,) = reproduce([tmp_path / "texts"], tmp_path / "out").to_dict("records")
    assert (row["verdict"], row["reason"]) == ("skipped", "text needs the package transformers")


def _missing(*_: object) -> None:
    raise UserError("text needs the package transformers")


def test_numbers_that_are_none_in_both_agree():
    table = pd.DataFrame({"key": ["a", "b"], "score": [float("nan"), 0.5], "score_low": [float("nan"), 0.4]})
    table = table.assign(score_high=[float("nan"), 0.6])
    again = table.assign(score=[float("nan"), 0.60001], score_low=[float("nan"), 0.59], score_high=[0.1, 0.7])
    rows = agreement(table, again, keys=["key"], value="score")
    assert rows["within"].tolist() == [True, False]
    assert rows["equal"].tolist() == [False, False]
    assert rows["overlapping"].tolist() == [True, True]

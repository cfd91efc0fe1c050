"""What a results folder holds is told by its content, and not replaced by results of something else."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pppl import Experiment
from pppl.cli.command import main
from pppl.comparison.folders import refuse_other_results, refuse_other_tasks, tell_another_experiment
from pppl.comparison.merge import merge
from pppl.config import DataSettings
from pppl.data import limit, load_dataset
from pppl.system.errors import UserError
from pppl.system.ownership import RECORD
from pppl.tables.provenance import data_mark

_TINY = {"training": {"epochs": 1, "batch_size": 32}, "persons": {"classes": [2], "count": 2, "shots": 1}, "seeds": [0]}


def _told(folder: Path, sha256: Any, **more: Any) -> Path:
    """A folder whose `run.json` tells of a comparison on data with this hash."""
    folder.mkdir(parents=True, exist_ok=True)
    run = {"config": Experiment().to_dict(), "packages": {}, "fingerprints": {}, "dataset_sha256": sha256} | more
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def test_another_experiments_tables_are_replaced_with_a_notice(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = _told(tmp_path / "out", "", config=Experiment(name="first").to_dict())
    tell_another_experiment(folder, "second")
    assert capsys.readouterr().err == "", "no tables yet"
    (folder / "table.csv.gz").write_bytes(b"")
    tell_another_experiment(folder, "first")
    assert capsys.readouterr().err == ""
    tell_another_experiment(folder, "second")
    assert (
        "holds results of the experiment first: its tables are replaced by those of second" in capsys.readouterr().err
    )


def _npz(path: Path, factor: float = 1.0) -> Path:
    path.parent.mkdir(exist_ok=True)
    x = np.random.default_rng(0).normal(size=(120, 1, 8, 8)).astype(np.float32)
    np.savez(path, x=factor * x, y=np.arange(120) % 3, classes=["a", "b", "c"])
    return path


def _refuses(arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _contents(folder)
    assert main(arguments) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in told
    assert str(folder) in told
    assert _contents(folder) == before


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != RECORD}


@pytest.mark.parametrize("verb", ["compare", "train", "sweep"])
@pytest.mark.parametrize("explicit", [True, False])
def test_data_of_the_same_name_are_told_apart(
    verb: str, explicit: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    data = _npz(tmp_path / "two" / "data.npz", 3.0)
    one = load_dataset(str(_npz(tmp_path / "one" / "data.npz"))).sha256
    with np.load(data) as file:
        np.savez(data, **file, split=np.arange(120) % 9 // 3)
    settings = _TINY | {"data": {"name": str(data)}, "methods": ["ppp"], "budgets": [0.5]}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(settings))
    own = {"base": "x.yaml", "space": {"ppp.target_rate": {"choices": [0.3]}}, "trials": 1, "name": "x"}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(own))
    config = Experiment().to_dict()
    more = {"compare": {}, "train": {}, "sweep": {"config": {"space": {}, "name": "x"}, "experiment": config}}[verb]
    folder = _told(Path("results") / ("x-train" if verb == "train" else "x"), one, **more)
    if verb == "train":
        run = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({key: run[key] for key in run if key != "fingerprints"}))
    arguments = [verb, "s.yaml" if verb == "sweep" else "x.yaml", *(["--out", str(folder)] if explicit else [])]
    _refuses(arguments, "holds results on other data (by SHA-256)", folder, capsys)


def test_a_part_of_the_data_is_the_same_data(tmp_path: Path):
    some, all_of_it = DataSettings(samples=20), DataSettings()
    digits = load_dataset("digits")
    few = limit(digits, some)
    assert few.sha256 != digits.sha256
    config = Experiment().replace(**{"data.samples": 20}).to_dict()
    folder = _told(tmp_path / "few", few.sha256, config=config)
    refuse_other_results(folder, "compare", all_of_it, digits)
    refuse_other_results(_told(tmp_path / "all", digits.sha256), "compare", some, few)
    assert data_mark(folder) == ""
    with pytest.raises(UserError, match="other data"):
        refuse_other_results(_told(tmp_path / "others", "1234", config=config), "compare", all_of_it, digits)


def test_data_that_were_renamed_are_the_same(tmp_path: Path):
    dataset = load_dataset(str(_npz(tmp_path / "new.npz")))
    folder = _told(tmp_path / "out", dataset.sha256)
    (folder / "table.csv").write_text("dataset\nold\n")
    refuse_other_results(folder, "compare", DataSettings(name=str(tmp_path / "new.npz")), dataset)
    (folder / "run.json").unlink()  # then the name is all that is told
    with pytest.raises(UserError, match="on old, not on new"):
        refuse_other_results(folder, "compare", DataSettings(name=str(tmp_path / "new.npz")), dataset)


def test_results_of_another_command_are_told(tmp_path: Path):
    digits = load_dataset("digits")
    for name, config in {"sweep": {"space": {}}, "tasks": {"tasks": []}}.items():
        folder = _told(tmp_path / name, digits.sha256, config=config)
        with pytest.raises(UserError, match=f"holds results of `pppl {name}`"):
            refuse_other_results(folder, "compare", DataSettings(), digits)
    with pytest.raises(UserError, match="holds results of `pppl compare`"):
        refuse_other_tasks(_told(tmp_path / "one", digits.sha256), {"clinc150": "1"})


def test_texts_of_tasks_are_told_apart(tmp_path: Path):
    folder = _told(tmp_path, {"moods.csv": "1", "clinc150": "2"}, config={"tasks": []})
    refuse_other_tasks(folder, {"clinc150": "2", "glue/CoLA": "3"})
    refuse_other_tasks(folder, {"renamed.csv": "1"})
    with pytest.raises(UserError, match=r"other texts of moods\.csv"):
        refuse_other_tasks(folder, {"moods.csv": "9", "clinc150": "2"})
    with pytest.raises(UserError, match=r"results on moods\.csv, clinc150"):
        refuse_other_tasks(folder, {"other.csv": "9"})


def test_a_training_that_was_killed_is_told_by_what_its_networks_take(tmp_path: Path):
    digits = load_dataset("digits")
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "inputs-seed0.json"
    for sha256 in (digits.sha256, "another"):
        path.write_text(json.dumps({"of": {"dataset_sha256": sha256, "config": {"data": {"name": "digits"}}}}))
        if sha256 == "another":
            with pytest.raises(UserError, match="other data"):
                refuse_other_results(tmp_path, "train", DataSettings(), digits)
        else:
            refuse_other_results(tmp_path, "train", DataSettings(), digits)


@pytest.mark.usefixtures("sketched")
def test_figures_and_pages_of_other_data_are_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    kept = Path(__file__).parents[2] / "results" / "plain_fsdd"
    for name in ("one", "two"):
        folder = shutil.copytree(kept, tmp_path / name, ignore=shutil.ignore_patterns("figures", "tables", ".pppl*"))
        if name == "two":
            run = json.loads((folder / "run.json").read_text())
            (folder / "run.json").write_text(json.dumps(run | {"dataset_sha256": "another"}))
    one, two, out = (str(tmp_path / name) for name in ("one", "two", "out"))
    assert main(["figures", one, "--out", out]) == 0
    _refuses(["figures", two, "--out", out], "was made from other results", tmp_path / "out", capsys)
    _refuses(["figures", two, "--out", one], "holds results on other data", tmp_path / "one", capsys)
    assert main(["report", one, "--out", f"{out}/page.html"]) == 0
    _refuses(["report", two, "--out", f"{out}/page.html"], "was made from other results", tmp_path / "out", capsys)
    (tmp_path / "two" / "report.html").write_text("mine")
    _refuses(["report", two], "report.html was not written by pppl", tmp_path / "two", capsys)


def test_a_merge_replaces_no_results_on_other_data_and_nothing_of_somebody_else(tmp_path: Path):
    kept = Path(__file__).parents[2] / "results" / "plain_fsdd"
    with pytest.raises(UserError, match="holds results on other data"):
        merge(
            [kept], _told(tmp_path / "others", "another", config=json.loads((kept / "run.json").read_text())["config"])
        )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "curves.csv").write_text("my,own\n")
    with pytest.raises(UserError, match=r"curves\.csv was not written by pppl"):
        merge([kept], tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["curves.csv"]


@pytest.mark.parametrize(
    "name", ["table.csv.gz", "gains.csv", "effort.csv", "run.json", "figures/gates.txt", "journal.jsonl"]
)
def test_files_of_somebody_else_are_told_before_anything_is_trained(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(_TINY))
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text('{"my": "own"}\n')
    arguments = ["compare", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "out")]
    _refuses(arguments, path.name, tmp_path / "out", capsys)


@pytest.mark.parametrize("name", ["models.csv", "run.json", "models/inputs-seed0.json"])
def test_a_training_leaves_files_of_somebody_else(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(_TINY))
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text('{"my": "own"}\n')
    arguments = ["train", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "out")]
    _refuses(arguments, f"{path.name} was not written by pppl", tmp_path / "out", capsys)

"""Commands on data that a user brings as folders and tables."""

import json
from pathlib import Path

import pandas as pd
import pytest
from own_files import long_csv, write_image, write_people, write_wav

from pppl.cli.command import main
from pppl.comparison.result_kinds import KINDS, find_faults

ROOT = Path(__file__).parents[2]
DIGITS = str(ROOT / "sweeps" / "compare" / "digits.yaml")
QUICK = ["--seeds=[0]", "--training.epochs=2", "--persons.count=2", "--persons.classes=[2]", "--persons.shots=2"]
QUICK += ["--methods=[full, full+classes]", "--training.batch_size=16", "--workers=1"]


def _check(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    assert main(["data", "check", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {title: text.strip() for title, _, text in (line.partition("  ") for line in lines if line[0] != " ")}


@pytest.mark.usefixtures("sketched")
def test_a_folder_is_checked_and_compared(
    tiny_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    write_people(tmp_path / "faces", people=6, classes=3, each=4)
    told = _check(capsys, "faces", "--persons.shots", "2")
    assert told["contents"] == "72 samples, 1 channel x 6 x 8 pixels, 6 people, 3 classes"
    assert told["how"] == "read as person/class/file, 72 images"
    assert "2 shots and a sample to test of 3 classes" in told["seen people as persons"]
    assert main(["compare", str(tiny_yaml), "--data", "faces/", *QUICK]) == 0
    notices = capsys.readouterr().err.splitlines()
    assert f"pppl: faces/: {told['contents']}" in notices
    assert f"pppl: faces/: {told['how']}" in notices
    table = pd.read_csv(tmp_path / "results" / "tiny-faces" / "table.csv.gz")
    assert set(table["dataset"]) == {"faces"}
    assert set(table["seen"]) == {True, False}
    results = Path("results/tiny-faces")
    assert not find_faults(results, KINDS)
    write_image(tmp_path / "faces" / "p0" / "a" / "0.png", 1000)
    assert "rows of full, full+classes are of other settings or data" in find_faults(results, KINDS)[0]
    assert main(["compare", str(tiny_yaml), "--data", "faces", *QUICK]) == 2
    assert "holds results on other data" in capsys.readouterr().err


@pytest.mark.usefixtures("sketched")
def test_a_table_is_compared_by_columns_that_a_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    long_csv(tmp_path / "sensors.csv")
    (tmp_path / "own.yaml").write_text(
        "data: {name: sensors.csv, columns: {label: activity, values: [ax, ay]}}\n"
        "backbone: {options: {widths: [4, 6]}}\npersons: {protocol: person, count: 2, shots: 1}\n"
        "training: {epochs: 1, batch_size: 16}\nmethods: [full]\nseeds: [0]\n"
    )
    told = _check(capsys, "own.yaml")
    assert told["contents"] == "48 samples, 2 channels x 5 steps, 6 people, 2 classes"
    assert main(["compare", "own.yaml", "--workers=1"]) == 0
    assert "values ax, ay; label activity, person subject, sample window; not read: time" in capsys.readouterr().err
    run = json.loads((tmp_path / "results" / "own" / "run.json").read_text())
    assert run["config"]["data"]["columns"]["values"] == ["ax", "ay"]
    # A stamp depends on what was read, not on how columns were named.
    before = run["fingerprints"]
    (tmp_path / "own.yaml").write_text(
        (tmp_path / "own.yaml").read_text().replace(", values: [ax, ay]", ", person: subject")
    )
    assert main(["compare", "own.yaml", "--workers=1"]) == 0
    assert json.loads((tmp_path / "results" / "own" / "run.json").read_text())["fingerprints"] == before
    # The columns of the file's own data do not hold for other data.
    monkeypatch.setattr("pppl.cli.experiment_verbs._run_comparison", lambda experiment, *_: compared.append(experiment))
    compared: list = []
    assert main(["compare", "own.yaml", "--data", "digits"]) == 0
    assert compared[0].data.columns.label == ""
    assert main(["compare", "own.yaml", "--data", "sensors.csv", "--data.columns.label=subject"]) == 0
    assert compared[1].data.columns.label == "subject"


def test_recordings_in_folders_train_a_network_that_hears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    for at in range(24):
        write_wav(tmp_path / "words" / ("no", "yes")[at % 2] / f"{at}.wav", at)
    (tmp_path / "own.yaml").write_text(
        "data: {name: words}\nbackbone: {options: {widths: [4, 6]}}\n"
        "persons: {classes: [2], count: 2, shots: 2, protocol: person}\nmethods: [full]\nseeds: [0]\n"
        "training: {epochs: 1, batch_size: 8}\n"
    )
    assert main(["train", "own.yaml"]) == 2
    assert "words has no person labels: use --persons.protocol classes" in capsys.readouterr().err
    assert main(["train", "own.yaml", "--persons.protocol=classes", "--persons.classes=[1]"]) == 0
    (inputs,) = tmp_path.glob("results/own-train/**/inputs-seed0.json")
    assert json.loads(inputs.read_text())["preprocessing"]["log_mel"]["sample_rate"] == 16000
    (tmp_path / "own.yaml").write_text((tmp_path / "own.yaml").read_text().replace("data: {name: words}\n", ""))
    assert main(["train", "own.yaml", "--data", "words", "--persons.protocol=classes", "--persons.classes=[1]"]) == 0
    assert (tmp_path / "results/own-words-train/models").is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "list", "--data.size=[1]"], "unknown argument '--data.size'"),
        (["data", "check", "digit"], "unknown data set 'digit': did you mean 'digits'?"),
        (["data", "check", "./nowhere"], "./nowhere is not there: give a folder, an .npz, .csv, .tsv or .parquet file"),
        (["data", "check", "digits", "--data.size=[8, 8]"], "data.size is set, but digits has no image files"),
        (["data", "check", "digits", "--data.size=[8]"], "data.size is [8]: height and width in pixels"),
        (["data", "check", "digits", "--data.column.label=x"], "unknown key 'data.column.label'"),
        (["data", "check", "setup.cfg"], "unknown data set 'setup.cfg'"),
        (["compare", DIGITS, "--data", "nowhere.parquet"], "nowhere.parquet is not there"),
    ],
)
def test_bad_data_are_one_line_and_exit_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err

"""From a run to a person's files, on digits."""

import io
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from pppl import Experiment
from pppl.backbones import Backbone
from pppl.cli.command import main
from pppl.comparison.network_files import load_network
from pppl.comparison.train import train
from pppl.data import Support, draw_persons, load_dataset, split_for
from pppl.data.samples import Samples
from pppl.deploy import Deployed, Thin, open_onnx, read_personal
from pppl.deploy.class_scores import wilson
from pppl.deploy.deployed_person import DeployedPerson
from pppl.deploy.latency import latency
from pppl.deploy.limit import Limit
from pppl.deploy.personalize import _difference, _Inputs
from pppl.deploy.predict import predict
from pppl.deploy.told_classes import warn_of_guessing
from pppl.deploy.trained_run import TrainedRun
from pppl.system.errors import UserError

ROOT = Path(__file__).parents[2]
_METHODS = ["ppp", "ppp@persons", "l1_local+finetune", "ppp+diff", "taylor_local"]
_SETTINGS = {
    "methods": _METHODS,
    "settings": {"ppp@persons": {"ppp.training": "persons"}},
    "seeds": [0],
    "training.epochs": 4,
    "person_training.epochs": 2,
    "finetune.pruned_steps": 5,
    "diff.steps": 3,
    "diff.fixed_steps": 3,
    "backbone.options.widths": [16, 24, 24],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(Experiment().replace(**_SETTINGS), folder)
    return folder


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two classes as they were read, in sub-folders, and as arrays."""
    folder = tmp_path_factory.mktemp("person")
    digits = load_dataset("digits")
    experiment = Experiment().replace(**_SETTINGS)
    drawn = draw_persons(split_for(digits, experiment.persons, 0), experiment.persons, size=2, seed=0)[0]
    x, y = digits.x[drawn.support], digits.y[drawn.support]
    np.savez(folder / "own.npz", x=x, y=y)
    for index, (image, label) in enumerate(zip(x, y, strict=True)):
        place = folder / "images" / digits.classes[int(label)]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * image[0]).round().to(torch.uint8).numpy()).save(place / f"{index}.png")
    return folder


def _personalize(run: Path, out: Path, *more: str) -> dict:
    assert main(["personalize", str(run), "--out", str(out), *more]) == 0
    return json.loads((out / "report.json").read_text())


def test_a_persons_network_is_what_the_comparison_makes(run: Path, person: Path, tmp_path: Path):
    report = _personalize(run, tmp_path, "--data", str(person / "own.npz"), "--budget", "0.3")
    opened = TrainedRun.open(run)
    own = opened.personalizer("ppp")
    with np.load(person / "own.npz") as file:
        support = Support(x=opened.preprocessing(torch.from_numpy(file["x"])), y=torch.from_numpy(file["y"]))
    model = own.personalize(opened.model(own), support, 0.3)
    read = read_personal(tmp_path / "personal.safetensors")
    with torch.inference_mode():
        torch.testing.assert_close(read.network(support.x), model.module(support.x))
    assert report["macs"]["personal"] == model.cost.macs <= 0.3 * report["macs"]["full"]
    assert [kept for kept, _ in report["kept"].values()] == list(model.module.widths)
    base = load_network(run / "models" / "ppp-seed0.safetensors")[0].backbone
    thin = Thin.read(tmp_path / "personal.thin").network(base)  # type: ignore[arg-type] (load_network tells any Module)
    with torch.inference_mode():
        torch.testing.assert_close(thin(support.x), model.module(support.x))
    assert report["off_by"]["onnx"] <= 1e-4
    assert report["accuracy"]["full"]["n"] == len(support.y)
    assert report["accuracy"]["full"]["low"] <= report["accuracy"]["full"]["mean"] <= report["accuracy"]["full"]["high"]


@pytest.mark.parametrize("factor", [255, 16, 65535])
def test_values_of_another_scale_are_no_fault_of_the_export(
    factor: int, run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    with np.load(person / "own.npz") as file:
        np.savez(tmp_path / "own.npz", x=file["x"] * np.float32(factor), y=file["y"])
    more = ["--budget", "0.3", "--out", str(tmp_path / "out")]
    assert main(["personalize", str(run), "--data", str(tmp_path / "own.npz"), *more]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "own.npz has values from 0 to" in error
    assert "range" in error
    assert "report" not in error
    assert not (tmp_path / "out").exists()


def test_what_was_read_is_told_in_a_line(run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    _personalize(run, tmp_path, "--data", str(person / "own.npz"), "--budget", "0.3", "--export")
    said = capsys.readouterr().err
    assert re.search(r"own\.npz: \d+ samples, 1 channel x 8 x 8 pixels, 2 classes", said)
    assert "range" not in said


def test_exports_agree_by_the_size_of_their_outputs():
    samples = cast(_Inputs, SimpleNamespace(given=torch.tensor([[1e6, -3.0]])))
    same = cast(Deployed, torch.nn.Identity())
    assert _difference(same, samples, samples.given + 1, exact=True) == 1
    assert _difference(same, samples, samples.given + 1000, exact=False) == 1000
    for off in (1000, float("nan")):
        with pytest.raises(UserError, match="report"):
            _difference(same, samples, samples.given + off, exact=True)
    small = cast(_Inputs, SimpleNamespace(given=torch.tensor([[1e-3, 0.0]])))
    with pytest.raises(UserError, match="report"):
        _difference(same, small, small.given + 2e-4, exact=True)
    endless = cast(_Inputs, SimpleNamespace(given=torch.tensor([[float("inf"), 0.0]])))
    with pytest.raises(UserError, match="range and unit"):
        _difference(same, endless, endless.given, exact=True)


def test_images_in_folders_and_arrays_give_the_same(run: Path, person: Path, tmp_path: Path):
    for name, data in {"a": "own.npz", "b": "images"}.items():
        _personalize(run, tmp_path / name, "--data", str(person / data), "--budget", "0.3", "--export")
    a, b = (Thin.read(tmp_path / name / "personal.thin") for name in "ab")
    assert np.array_equal(a.kept, b.kept)
    assert not list(tmp_path.glob("*/*.onnx"))


@pytest.mark.parametrize("budget", ["0.2params", "9kB"])
def test_other_limits_are_met(budget: str, run: Path, person: Path, tmp_path: Path):
    report = _personalize(run, tmp_path, "--data", str(person / "own.npz"), "--budget", budget, "--export")
    if budget.endswith("kB"):
        assert 0.8 * 9000 < (tmp_path / "personal.safetensors").stat().st_size <= 9000
    else:
        assert report["params"]["personal"] <= 0.2 * report["params"]["full"]


def test_a_limit_in_milliseconds_is_met_on_a_machine_whose_speed_drifts(
    run: Path, person: Path, monkeypatch: pytest.MonkeyPatch
):
    """Milliseconds here are parameters, times what else the machine does."""
    slower = itertools.cycle([1.0, 1.0, 1.0, 1.0, 1.0, 1.3, 0.8, 1.2])

    def milliseconds(self: DeployedPerson, sessions: dict[str, Backbone]) -> dict[str, float]:
        factor = next(slower)
        return {name: factor * sum(p.numel() for p in network.parameters()) for name, network in sessions.items()}

    monkeypatch.setattr(DeployedPerson, "timed", lambda self, network: network)
    monkeypatch.setattr(DeployedPerson, "full_session", property(lambda self: self.global_model.full))
    monkeypatch.setattr(DeployedPerson, "milliseconds", milliseconds)
    opened = TrainedRun.open(run)
    with np.load(person / "own.npz") as file:
        samples = Samples(values=torch.from_numpy(file["x"]), names=("",) * len(file["x"]))
    full = DeployedPerson(opened, samples, "ppp", Limit(value=1, unit="macs")).full_ms
    own = DeployedPerson(opened, samples, "ppp", Limit(value=0.4 * full, unit="ms")).model(1).module
    assert 0.35 * full <= sum(p.numel() for p in own.parameters()) <= 0.4 * full


def test_a_budget_that_gates_do_not_use_up_is_told(
    run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    own, gates = ["--data", str(person / "own.npz"), "--export"], ["--method", "ppp@persons"]
    report = _personalize(run, tmp_path / "a", *own, *gates, "--budget", "0.9")
    assert report["macs"]["personal"] <= 0.6 * report["macs"]["full"]
    told = "where 90.0% is allowed: its gates were trained for at most 0.6 (person_training.most)"
    assert told in capsys.readouterr().err
    _personalize(run, tmp_path / "b", *own, *gates, "--budget", "0.5")
    assert "is allowed" not in capsys.readouterr().err


def test_a_full_network_that_guesses_is_told(capsys: pytest.CaptureFixture[str]):
    warn_of_guessing({"full": wilson(3, 20)}, 4)
    assert "has 15.0 % of 20 samples right, guessing among their 4 classes 25.0 %" in capsys.readouterr().err
    for accuracies, classes in (({"full": wilson(15, 20)}, 4), ({"full": wilson(0, 20)}, 1), ({}, 4)):
        warn_of_guessing(accuracies, classes)
        assert capsys.readouterr().err == ""


def test_a_limit_in_milliseconds_and_automatic_rounding_are_measured(
    run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    more = ["--data", str(person / "own.npz"), "--budget", "1000ms", "--round-to", "auto", "--export"]
    report = _personalize(run, tmp_path, *more)
    assert report["macs"]["personal"] == report["macs"]["full"]  # so much time needs no pruning
    assert "of the speed-up that the MACs promise" in report["rounding"]["reason"]
    assert report["milliseconds"]["personal"] > 0
    assert f"through the full network {report['milliseconds']['full']:.3g} ms" in capsys.readouterr().out


def test_methods_that_train_on_the_person_need_labels(
    run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    more = ["--budget", "0.3", "--export", "--method", "ppp+diff"]
    report = _personalize(run, tmp_path / "a", "--data", str(person / "own.npz"), *more)
    thin = Thin.read(tmp_path / "a" / "personal.thin")
    assert thin.delta
    base = load_network(run / "models" / "ppp-seed0.safetensors")[0].backbone
    tuned = thin.network(base).state_dict()  # type: ignore[arg-type] (load_network tells any Module)
    for key, value in read_personal(tmp_path / "a" / "personal.safetensors").network.state_dict().items():
        assert torch.equal(tuned[key], value)
    assert report["files"]["personal.thin"] < report["files"]["personal.safetensors"]
    with np.load(person / "own.npz") as file:
        np.savez(tmp_path / "unlabelled.npz", x=file["x"])
    more = ["--data", str(tmp_path / "unlabelled.npz"), "--out", str(tmp_path / "b"), *more]
    assert main(["personalize", str(run), *more]) == 2
    assert "method ppp+diff reads labels: put samples into sub-folders" in capsys.readouterr().err


def test_a_fine_tuned_network_has_no_thin_form(run: Path, person: Path, tmp_path: Path):
    more = ["--data", str(person / "own.npz"), "--budget", "0.3", "--export", "--method", "l1_local+finetune"]
    (tmp_path / "personal.thin").write_bytes(b"of somebody else")
    assert set(_personalize(run, tmp_path, *more)["files"]) == {"personal.safetensors"}
    there = {"personal.safetensors", "personal.thin", "report.json"}  # that of somebody else, too
    assert {path.name for path in tmp_path.glob("[!.]*")} == there
    more[-1], more[3] = "finetune", "1"
    assert _personalize(run, tmp_path, *more)["macs"]["personal"] == _personalize(run, tmp_path, *more)["macs"]["full"]


def test_files_of_people_stay_beside_those_that_are_made(run: Path, person: Path, tmp_path: Path):
    """Also the person's samples themselves, under the same name."""
    own = {"personal.npz": (person / "own.npz").read_bytes(), "personal.md": b"notes", "personal.ONNX": b"mine"}
    for name, content in own.items():
        (tmp_path / name).write_bytes(content)
    data = ["--data", str(tmp_path / "personal.npz"), "--budget", "0.3", "--export"]
    _personalize(run, tmp_path, *data, "onnx", "onnx-int8")
    made = {"report.json", "personal.safetensors", "personal.thin", "personal.onnx", "personal.int8.onnx"}
    assert {path.name for path in tmp_path.glob("[!.]*")} == own.keys() | made
    (tmp_path / "personal.int8.onnx").write_bytes(b"made elsewhere")
    _personalize(run, tmp_path, *data)
    made -= {"personal.onnx"}  # of the call before, and no longer asked for
    assert {path.name for path in tmp_path.glob("[!.]*")} == own.keys() | made
    assert {name: (tmp_path / name).read_bytes() for name in own} == own
    assert (tmp_path / "personal.int8.onnx").read_bytes() == b"made elsewhere"


@pytest.mark.parametrize("name", ["personal.onnx", "personal.safetensors", "personal.thin", "report.json"])
def test_a_file_of_somebody_else_is_told_before_anything_is_made(
    name: str, run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    (tmp_path / name).write_bytes(b"mine")
    data = ["--data", str(person / "own.npz"), "--budget", "0.3"]
    assert main(["personalize", str(run), "--out", str(tmp_path), *data]) == 2
    assert f"{name} was not written by pppl" in capsys.readouterr().err
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_the_files_of_another_person_are_not_replaced(
    run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    more = ["--budget", "0.3", "--export"]
    with np.load(person / "own.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "one.npz", **arrays)
    np.savez(tmp_path / "copy.npz", **arrays)
    np.savez(tmp_path / "two.npz", x=arrays["x"][::-1] * 0.5, y=arrays["y"][::-1])
    out = tmp_path / "out"
    for name in ("one.npz", "copy.npz"):
        _personalize(run, out, "--data", str(tmp_path / name), *more)
    before = (out / "personal.safetensors").read_bytes()
    assert main(["personalize", str(run), "--out", str(out), "--data", str(tmp_path / "two.npz"), *more]) == 2
    assert "holds the files of another person" in capsys.readouterr().err
    assert (out / "personal.safetensors").read_bytes() == before
    np.savez(tmp_path / "copy.npz", x=arrays["x"][:-1], y=arrays["y"][:-1])  # the same person has others now
    _personalize(run, out, "--data", str(tmp_path / "copy.npz"), *more)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--budget", "much"], "budget 'much': give 0.25"),
        (["--budget", "0.001"], "budget 0.001 is too small"),
        (["--budget", "10B"], "budget of 10 bytes is too small"),
        (["--budget", "0.3", "--method", "pppp"], "unknown method 'pppp': did you mean 'ppp'?"),
        (["--budget", "0.3", "--method", "gated"], "unknown network of"),
        (["--budget", "0.3", "--method", "taylor_local"], "reads training data, which a run folder does not hold"),
        (["--budget", "0.3", "--method", "finetune"], "method finetune does not prune: give it a budget of 1"),
        (["--budget", "1", "--method", "ppp_dynamic"], "chooses channels for each sample"),
        (["--budget", "0.3", "--seed", "7"], "has no seed 7: choose from 0"),
        (["--budget", "0.3", "--export", "onx"], "unknown export format 'onx': did you mean 'onnx'?"),
        (["--budget", "0.3", "--raw-audio"], "no raw audio"),
        (["--budget", "0.3", "--round-to", "0"], "--round-to is 0"),
        (["--budget", "0.3", "--data", "none.npz"], "none.npz is not there"),
    ],
)
def test_what_cannot_be_is_one_line(
    more: list[str], message: str, run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    arguments = ["personalize", str(run), "--out", str(tmp_path / "out"), "--data", str(person / "own.npz"), *more]
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error


def test_a_folder_without_networks_is_told_how_to_get_some(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main(["personalize", str(tmp_path), "--data", "x.npz", "--budget", "0.3", "--out", str(tmp_path / "o")]) == 2
    assert "holds no trained networks: `pppl train" in capsys.readouterr().err


def test_predictions_are_those_of_the_network(
    run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    _personalize(run, tmp_path, "--data", str(person / "own.npz"), "--budget", "0.5", "--export", "onnx", "onnx-int8")
    images = sorted((person / "images").glob("*/*.png"))
    by_onnx = predict(tmp_path / "personal.onnx", [str(path) for path in images])
    by_torch = predict(tmp_path / "personal.safetensors", [str(person / "images")])
    assert [each.label for each in by_onnx] == [each.label for each in by_torch]
    assert [each.probability for each in by_onnx] == pytest.approx([each.probability for each in by_torch], abs=1e-4)
    assert [each.name for each in by_onnx] == [str(path) for path in images]
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(map(str, images))))
    assert main(["predict", str(tmp_path / "personal.int8.onnx"), "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(images)
    assert all(re.fullmatch(r".*\.png  [0-9]  [01]\.[0-9]{3}", line) for line in lines)
    assert open_onnx(tmp_path / "personal.onnx").meta["preprocessing"]["classes"] == [*"0123456789"]


def test_labelled_folders_are_scored_in_total_and_by_class(
    run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    for data, labelled in (("images", True), ("loose", False)):
        if not labelled:
            (tmp_path / data).mkdir()
            for path in (person / "images").glob("*/*.png"):
                (tmp_path / data / path.name).write_bytes(path.read_bytes())
        source = (person if labelled else tmp_path) / data
        report = _personalize(run, tmp_path / f"of-{data}", "--data", str(source), "--budget", "0.3")
        by_class = report["by_class"]["classes"]
        count = len(list(source.rglob("*.png")))
        assert report["by_class"]["labelled"] == labelled
        assert sum(each["n"] for each in by_class) == count
        if labelled:
            for whose in ("full", "personal"):
                assert sum(each[whose] for each in by_class) == round(count * report["accuracy"][whose]["mean"])
        told = "given of a class, and how many are right" if labelled else "that the full network takes for a class"
        assert f"samples {told}" in capsys.readouterr().out
        assert main(["predict", str(tmp_path / f"of-{data}" / "personal.onnx"), str(source)]) == 0
        lines = capsys.readouterr().out.splitlines()
        if labelled:
            right = sum(each["personal"] for each in by_class)
            assert lines[count + 1].startswith(f"{right} of {count} right: {100 * right / count:.1f} % [")
            assert [line.split()[0] for line in lines[count + 4 :]] == [each["name"] for each in by_class]
        else:
            assert len(lines) == count


def test_latency_has_a_row_for_each_file_and_engine_and_the_full_network(
    run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    _personalize(run, tmp_path, "--data", str(person / "own.npz"), "--budget", "0.3")
    files = [tmp_path / "personal.onnx", tmp_path / "personal.safetensors"]
    table = latency(files, runs=5)
    assert table["file"].tolist() == ["full convnet"] * 2 + [str(files[0])] * 2 + [str(files[1])] * 2
    assert table["engine"].tolist() == ["torch", "onnxruntime"] * 3
    full, own = table.loc[0], table.loc[2]
    assert own["macs"] < 0.3 * full["macs"]
    assert own["bytes"] == files[0].stat().st_size
    assert (table["low_ms"] <= table["median_ms"]).all()
    assert (table.loc[:1, "speed_up"] == 1).all()
    assert table.loc[5, "peak_mib"] < table.loc[3, "peak_mib"] + 0.5, "exporting is no part of what a file takes"
    capsys.readouterr()
    assert main(["latency", str(files[0])]) == 0
    assert "One sample, 1 thread" in capsys.readouterr().out


def test_a_limit_says_itself():
    assert str(Limit(value=0.25, unit="macs")) == "0.25 of the MACs"


_PAGE = ROOT / "docs" / "howto" / "device.md"
_SHELL = re.findall(r"^```shell\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(
    not (Path(os.environ.get("PPPL_DATA", "")) / "free-spoken-digit-dataset").is_dir(),
    reason="PPPL_DATA has no free-spoken-digit-dataset",
)
def test_the_documented_lines_bring_an_unseen_speakers_network_to_a_file_that_hears(tmp_path: Path):
    (tmp_path / "sweeps").symlink_to(ROOT / "sweeps")
    assert len(_SHELL[0].strip().splitlines()) == 4
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(_SHELL)],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    inputs = json.loads((tmp_path / "results/voices/models/inputs-seed0.json").read_text())
    report = json.loads((tmp_path / "results/lucas/report.json").read_text())
    assert "lucas" in inputs["unseen"]
    assert open_onnx(tmp_path / "results/lucas/personal.onnx").input == "audio"
    assert report["macs"]["personal"] <= 0.25 * report["macs"]["full"]
    said = re.findall(r"/([0-9])_lucas_[0-9]+\.wav  ([0-9])  ", ended.stdout)
    right = sum(true == guessed for true, guessed in said)
    assert len(said) >= 40
    assert right > 0.5 * len(said)  # chance is a tenth
    accuracy = json.loads((tmp_path / "results/lucas-labels/report.json").read_text())["accuracy"]
    assert accuracy["personal"]["low"] > accuracy["full"]["mean"]


def test_predicting_and_timing_begin_without_what_training_needs():
    heavy = {"pytorch_lightning", "matplotlib", "sklearn"}
    code = (
        "import sys, pppl.deploy.latency, pppl.deploy.predict; "
        f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

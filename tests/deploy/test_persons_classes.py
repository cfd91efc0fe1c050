"""`pppl personalize --classes`: the person's class prior in the files that a device gets."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pppl import Experiment
from pppl.cli.command import main
from pppl.comparison.train import train
from pppl.data import load_dataset
from pppl.deploy import read_personal
from pppl.deploy.predict import predict
from pppl.deploy.told_classes import LEAST_CONFIDENCE


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    widths = {"backbone.options.widths": [16, 24, 24]}
    train(Experiment().replace(**{"methods": ["ppp"], "seeds": [0], "training.epochs": 12, **widths}), folder)
    return folder


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten images of threes and eights, from training."""
    digits, path = load_dataset("digits"), tmp_path_factory.mktemp("person") / "own.npz"
    rows = np.concatenate([digits.rows(0)[digits.y.numpy()[digits.rows(0)] == label][:5] for label in (3, 8)])
    np.savez(path, x=digits.x[rows], y=digits.y[rows])
    return path


def _personalize(run: Path, data: Path, out: Path, *more: str) -> dict:
    told = ["--method", "full", "--budget", "1", "--export", "onnx"]
    assert main(["personalize", str(run), "--data", str(data), "--out", str(out), *told, *more]) == 0
    return json.loads((out / "report.json").read_text())


def test_the_persons_classes_are_told_and_answered(
    run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    report = _personalize(run, person, tmp_path, "--classes")
    assert report["classes"]["prior"] == pytest.approx({"3": 0.5, "8": 0.5})
    assert report["method"] == "full+classes"
    assert set(report["files"]) == {"personal.safetensors", "personal.thin", "personal.onnx"}
    assert report["files"]["personal.thin"] == 76 + -(-64 // 8) + 13 + 40
    assert "classes: 3 0.50, 8 0.50; mean confidence 0." in capsys.readouterr().out
    named = report["accuracy"]
    assert [*named] == ["full", "full with the person's classes", "personal"]
    assert named["personal"] == named["full with the person's classes"]
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "noise.npz", x=rng.random((20, 1, 8, 8), np.float32))
    for name in ("personal.onnx", "personal.safetensors"):
        assert {each.label for each in predict(tmp_path / name, [str(tmp_path / "noise.npz")])} <= {"3", "8"}


def test_classes_that_are_not_used_have_no_output(run: Path, person: Path, tmp_path: Path):
    whole = _personalize(run, person, tmp_path / "whole", "--classes", "votes")
    report = _personalize(run, person, tmp_path / "cut", "--classes", "votes", "--cut-classes")
    assert report["macs"]["personal"] == whole["macs"]["personal"] - 8 * 24
    read = read_personal(tmp_path / "cut" / "personal.safetensors")
    assert read.classes == ("3", "8")
    with np.load(person) as file:
        x = file["x"]
    assert read.network(torch.from_numpy(x)).shape == (10, 2)
    labels = [[each.label for each in predict(tmp_path / folder / "personal.onnx", [str(person)])]
              for folder in ("whole", "cut")]  # fmt: skip
    assert labels[0] == labels[1]
    probabilities = [each.probability for each in predict(tmp_path / "cut" / "personal.onnx", [str(person)])]
    assert min(probabilities) >= 0.5


def test_what_should_not_be_trusted_is_said(
    run: Path, person: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with np.load(person) as file:
        x, y = file["x"], file["y"]
    np.savez(tmp_path / "one.npz", x=x[:5], y=y[:5])
    _personalize(run, tmp_path / "one.npz", tmp_path / "one", "--classes")
    assert "all 5 samples are classified as 3, which will be the only prediction" in capsys.readouterr().err
    digits = load_dataset("digits")
    np.savez(tmp_path / "unsure.npz", x=(digits.x[:60:2] + digits.x[1:61:2]) / 2)  # two digits in one image
    report = _personalize(run, tmp_path / "unsure.npz", tmp_path / "unsure", "--classes", "em")
    assert report["classes"]["confidence"] < LEAST_CONFIDENCE
    assert "the network is unsure of these samples (mean confidence 0." in capsys.readouterr().err
    arguments = ["personalize", str(run), "--data", str(person), "--budget", "1", "--out", str(tmp_path / "no")]
    assert main([*arguments, "--cut-classes"]) == 2
    assert "--cut-classes cuts what --classes finds unused: give --classes, too" in capsys.readouterr().err

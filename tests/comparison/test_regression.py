"""A second task, on series of twenty people: everything that needs no classes works on numbers to predict."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pppl import Experiment, compare
from pppl.cli.command import main
from pppl.comparison import load
from pppl.comparison.load import load_split
from pppl.data import IdentityDataset
from pppl.data.identities import TRAIN
from pppl.system.errors import UserError
from pppl.tables.schema import load_frame
from pppl.tasks import TASKS, task_of

METHODS = ["full", "ppp", "ppp@persons", "gated", "l1", "l1+retrain", "taylor", "ocap", "finetune", "diff", "ppp+diff"]
FEW = {"training.epochs": 2, "person_training.epochs": 1, "retrain.epochs": 1, "budgets": [0.5], "seeds": [0]}
FEW |= {"persons.count": 3, "backbone.options": {"widths": [8, 8]}}


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frequency and the height of a sine, whose phase is the person's own; in units far from 0 and 1."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("data") / "sines.npz"
    person = np.repeat(np.arange(20), 30)
    frequency, height = rng.uniform(1, 4, len(person)), rng.uniform(0.5, 2, len(person))
    time = np.linspace(0, 2 * np.pi, 32)
    x = height[:, None] * np.sin(frequency[:, None] * time + person[:, None] / 4)
    np.savez(path, x=x[:, None].astype(np.float32), y=np.stack([1000 * frequency, height], 1), identity=person)
    return path


@pytest.fixture(scope="module")
def experiment(series: Path) -> Experiment:
    own = {"ppp@persons": {"ppp.training": "persons"}}
    return Experiment().replace(**FEW, **{"data.name": str(series)}, methods=METHODS, settings=own, reference="full")


@pytest.fixture(scope="module")
def results(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    compare(experiment, folder)
    return folder


def test_targets_of_other_tasks_stay_as_they_are(monkeypatch: pytest.MonkeyPatch):
    tags = (torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) < 0.2).float()
    dataset = IdentityDataset(name="tags", x=torch.rand(200, 1, 8), y=tags, identity=np.arange(200) % 10, task="tags")
    monkeypatch.setattr(load, "load_dataset", lambda _: dataset)
    monkeypatch.setattr(load, "task_of", lambda _: TASKS["classification"])  # which is no regression
    split = load_split(Experiment().replace(**{"data.name": "tags", "persons.protocol": "person"}), 0)
    rows = split.rows(TRAIN)
    assert split.targets(rows).tolist() == tags[torch.from_numpy(rows)].tolist()


def test_targets_are_standardized_by_the_training_samples(series: Path, experiment: Experiment):
    dataset = load_split(experiment, 0)
    targets = dataset.targets(dataset.rows(TRAIN))
    assert targets.mean(0).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert targets.std(0, correction=0).tolist() == pytest.approx([1, 1], abs=1e-5)
    rows = dataset.rows(TRAIN)[:5]
    assert dataset.in_units(dataset.targets(rows)).numpy() == pytest.approx(dataset.y[rows].numpy(), rel=1e-5)
    assert task_of(dataset) is TASKS["regression"]


def test_r2_is_that_of_scikit_learn():
    import torch
    from sklearn.metrics import mean_absolute_error, r2_score

    generator = torch.Generator().manual_seed(0)
    targets, outputs = torch.randn(20, 3, generator=generator), torch.randn(20, 3, generator=generator)
    targets[:, 2] = 1
    scores = TASKS["regression"].score(outputs, targets)
    assert scores["R2"] == pytest.approx(r2_score(targets.double(), outputs.double()))
    assert scores["MAE"] == pytest.approx(mean_absolute_error(targets.double(), outputs.double()))


def test_every_method_without_classes_has_rows(results: Path):
    table = load_frame(results / "table.csv.gz")
    assert set(table["method"]) == set(METHODS)
    assert set(table["persons"]) == {"person"}
    assert (table["score"] <= 1).all()
    assert table.groupby("identity")["score_full"].nunique().eq(1).all()


def test_methods_that_need_classes_are_named_before_anything_is_trained(experiment: Experiment, tmp_path: Path):
    for method in ("full+classes", "full+tent", "capnn", "onda_hap", "l1+prototypes"):
        with pytest.raises(UserError, match=f"method {re.escape(method)} needs classes, and sines is for regr"):
            compare(experiment.replace(methods=["full", method]), tmp_path)
    assert not list(tmp_path.glob("training/*"))


def test_classes_as_persons_are_refused(experiment: Experiment, tmp_path: Path):
    with pytest.raises(UserError, match=r"sines has no classes, and persons\.protocol is classes: set it to person"):
        compare(experiment.replace(**{"persons.protocol": "classes"}), tmp_path)


def test_a_personal_file_predicts_in_the_unit_of_the_data(
    series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    experiment = tmp_path / "sines.yaml"
    experiment.write_text(
        f"data: {{name: {series}}}\nmethods: [full, ppp]\nseeds: [0]\ntraining: {{epochs: 12}}\n"
        "backbone: {options: {widths: [8, 8]}}\nbudgets: [0.5]\nreference: full\n"
    )
    assert main(["train", str(experiment), "--out", str(tmp_path / "run")]) == 0
    with np.load(series) as arrays:
        own = {name: arrays[name][:20] for name in ("x", "y")}
    np.savez(tmp_path / "own.npz", **own)
    command = ["personalize", str(tmp_path / "run"), "--data", str(tmp_path / "own.npz"), "--budget", "0.9"]
    assert main([*command, "--out", str(tmp_path / "own"), "--export", "onnx"]) == 0
    assert "personal: R2 " in capsys.readouterr().out
    for file in ("personal.onnx", "personal.safetensors"):
        assert main(["predict", str(tmp_path / "own" / file), str(tmp_path / "own.npz")]) == 0
        predicted = np.array([line.split()[1:] for line in capsys.readouterr().out.splitlines()], float)
        assert predicted.shape == (20, 2)
        assert 500 < predicted[:, 0].mean() < 4500, "in thousands, as the file has it"


def test_other_data_leave_out_what_needs_classes(series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    experiment = tmp_path / "some.yaml"
    experiment.write_text("methods: [full, full+classes, l1]\nreference: full\nseeds: [0]\nbudgets: [0.5]\n")
    few = [part for key, value in FEW.items() if "person_training" not in key for part in (f"--{key}", str(value))]
    assert main(["compare", str(experiment), "--data", str(series), *few, "--out", str(tmp_path / "out")]) == 0
    assert "has no classes: full+classes" in capsys.readouterr().err
    assert set(pd.read_csv(tmp_path / "out" / "summary.csv")["method"]) == {"full", "l1"}

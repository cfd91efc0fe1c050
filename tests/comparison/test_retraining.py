"""The step `+retrain`: networks that everybody shares, trained once and kept."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from pppl import Experiment
from pppl.comparison.compare import compare
from pppl.comparison.global_models import global_model
from pppl.data import IdentityDataset, split_for
from pppl.data.datamodule import Batches
from pppl.data.identities import TRAIN
from pppl.personalizers import GlobalModel, make_personalizers
from pppl.personalizers.global_model import RetrainSettings, _cannot_retrain
from pppl.system.errors import UserError
from pppl.tasks import TASKS

pytestmark = pytest.mark.usefixtures("sketched")

METHODS = ["full", "l1_local", "l1_local+retrain"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _experiment(tiny: Experiment) -> Experiment:
    settings = {"methods": METHODS, "retrain.epochs": 2, "training.epochs": 2, "seeds": [0], "persons.classes": [2]}
    return tiny.replace(**settings)


def test_each_network_is_trained_once_for_everybody(tiny: Experiment, tmp_path: Path, own_cache: Path):
    out = tmp_path / "out"
    compare(_experiment(tiny), out, workers=2)
    table = pd.read_csv(out / "table.csv.gz", keep_default_na=False)
    retrained = table.query("method == 'l1_local+retrain'")
    pruned = table.query("method == 'l1_local'")
    assert retrained["macs"].tolist() == pruned["macs"].tolist()
    assert len(list(own_cache.glob("retrained-*.safetensors"))) == 2  # one for each budget
    assert sorted(path.stem[:9] for path in (out / "training").glob("retrained-*.csv")) == ["retrained"] * 2
    for path in (out / "training").glob("retrained-*.csv"):
        losses = pd.read_csv(path)["val_loss"].dropna().tolist()
        assert len(losses) == 2, "an epoch each"
        assert losses[1] < losses[0]
    assert (retrained["train_samples"] > 0).all()
    assert (table.query("method != 'l1_local+retrain'")["train_samples"] == 0).all()
    assert (table["retrain_samples"] == 0).all(), "of persons"
    # What was trained before anybody came is still told.
    assert retrained["personalize_seconds"].min() > 3 * pruned["personalize_seconds"].max()


def test_it_continues_from_the_pruned_weights_and_sees_every_training_sample(
    tiny: Experiment, digits: IdentityDataset, tmp_path: Path
):
    experiment = _experiment(tiny).replace(**{"training.batch_size": 100})
    dataset = split_for(digits, experiment.persons, seed=0)
    model = global_model(experiment, dataset, 0, tmp_path)
    start = {key: value.clone() for key, value in model.full.state_dict().items()}
    first = model.retrain(model.full, RetrainSettings(epochs=3, learning_rate=1e-3))
    count = len(dataset.rows(TRAIN))
    (retrained,) = make_personalizers(experiment.replace(**{"methods": ["l1+retrain"], "retrain.epochs": 3}))
    batches = Batches(dataset, torch.from_numpy(dataset.rows(TRAIN)), 100, seed=0)
    assert retrained.train_samples(count) == 3 * sum(len(y) for _, y in batches)
    assert first.seconds_before == 0
    again = model.retrain(model.full, RetrainSettings(epochs=3, learning_rate=1e-3))
    assert again.seconds_before > 0
    pairs = list(zip(first.network.parameters(), again.network.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert all(torch.equal(value, start[key]) for key, value in model.full.state_dict().items())
    moved = [(a - start[name]).norm() / start[name].norm() for name, a in first.network.named_parameters()]
    assert 0 < max(moved) < 0.5, "from where it was, not anew"
    other = model.retrain(model.full, RetrainSettings(epochs=3, learning_rate=2e-3))
    assert other.seconds_before == 0
    assert len(list((tmp_path / "training").glob("retrained-*.csv"))) == 2, "logs have names of their own"
    (twice,) = make_personalizers(experiment.replace(methods=["l1+retrain+retrain"]))
    first_time = twice.personalize(model, model.train, 0.5).seconds
    assert twice.personalize(model, model.train, 0.5).seconds > first_time / 2


def test_it_is_for_networks_that_everybody_shares(tiny: Experiment, model: GlobalModel):
    for method in ("ppp+retrain", "taylor_support+retrain", "l1+finetune+retrain"):
        with pytest.raises(UserError, match=r"would retrain on everybody's data for each person: use \+finetune"):
            make_personalizers(tiny.replace(methods=[method]))
    with pytest.raises(UserError, match=r"would retrain a network with gates: leave \+retrain out"):
        make_personalizers(tiny.replace(methods=["ppp_dynamic+retrain"]))
    (personalizer,) = make_personalizers(tiny.replace(methods=["l1+retrain+finetune"]))
    assert personalizer.support_from == "own"
    (alone,) = make_personalizers(tiny.replace(methods=["l1+retrain"]))
    with pytest.raises(UserError, match=r"leave out methods with \+retrain"):
        alone.personalize(replace(model, retrain=_cannot_retrain), model.train, 0.5)


def test_a_pruned_network_learns_from_the_full_ones_predictions(
    tiny: Experiment, digits: IdentityDataset, tmp_path: Path
):
    experiment = _experiment(tiny)
    dataset = split_for(digits, experiment.persons, seed=0)
    model = global_model(experiment, dataset, 0, tmp_path)
    (pruned,) = make_personalizers(experiment.replace(methods=["l1_local"]))
    start = pruned.personalize(model, model.train, 0.2).module
    taught, alone = (
        model.retrain(start, RetrainSettings(epochs=6, learning_rate=1e-2, distillation=weight)).network
        for weight in (5.0, 0.0)
    )
    x = dataset.inputs(dataset.rows(TRAIN))
    with torch.no_grad():
        teacher, *students = (network(x) for network in (model.full, taught, alone))
    near, far = (float(TASKS["classification"].divergence(student, teacher)) for student in students)
    assert near < far, "nearer to its predictions than without them"
    logs = [pd.read_csv(path) for path in (tmp_path / "training").glob("retrained-*.csv")]
    assert sorted("train_distillation" in log.columns for log in logs) == [False, True]
    again = model.retrain(start, RetrainSettings(epochs=6, learning_rate=1e-2, distillation=5.0))
    assert again.seconds_before > 0, "kept"

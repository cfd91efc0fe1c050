"""Several devices train the network that one trains: here as processes on a CPU."""

import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn

from pppl import Experiment
from pppl.backbones import build, spec_for
from pppl.comparison.freshness import fingerprints
from pppl.comparison.global_models import load_or_train
from pppl.comparison.recipes import recipes
from pppl.data import IdentityDataset
from pppl.system.errors import UserError
from pppl.system.plugins import load_plugins
from pppl.system.processes import Workers
from pppl.tasks import TASKS
from pppl.training import DistilledModule, GlobalModule, PPPModule, fit
from pppl.training.lightning import device_count
from pppl.training.whole_batch import WholeBatch

_TASK = TASKS["classification"]


class _Precise(GlobalModule):
    """In 64 bits nothing but the order of sums can differ, and that not visibly."""

    training_precision = "64-true"  # type: ignore[assignment]


class _PrecisePPP(PPPModule):
    training_precision = "64-true"  # type: ignore[assignment]


class _PreciseDistilled(DistilledModule):
    training_precision = "64-true"  # type: ignore[assignment]


def _experiment(**changes: object) -> Experiment:
    small = {"training.epochs": 2, "training.batch_size": 64, "training.learning_rate": 0.01}
    return Experiment().replace(**small | changes)


def _make(kind: str, experiment: Experiment, dataset: IdentityDataset) -> GlobalModule:
    backbone = build(spec_for("convnet", {"widths": (6, 8)}, dataset.input_shape, 10))
    # Random numbers, between two layers that have statistics of the batch.
    backbone.get_submodule(backbone.groups[1].producer).register_forward_pre_hook(_drop)
    if kind == "distilled":
        teacher = build(backbone.spec).double()
        return _PreciseDistilled(backbone, experiment.training, _TASK, teacher, weight=0.5)
    if kind == "gated":
        return _PrecisePPP(backbone, experiment.training, _TASK, experiment.ppp)
    return _Precise(backbone, experiment.training, _TASK)


def _drop(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return F.dropout2d(F.dropout(inputs[0], 0.1, layer.training), 0.1, layer.training)


@pytest.mark.parametrize("kind", ["full", "gated", "distilled"])
def test_two_devices_train_the_network_that_one_trains(kind: str, digits: IdentityDataset, tmp_path: Path):
    """With statistics of the batch, dropout, noise of gates, augmentation and averaging; logs are of all samples."""
    trained = {}
    for devices in (1, 2):
        changes = {"training.devices": devices, "training.augment": ["crop"], "training.averaging": 0.5}
        experiment = _experiment(**changes, **{"ppp.prototype_weight": 1.0})
        folder = tmp_path / str(devices)
        module, metrics = fit(partial(_make, kind, experiment, digits), digits, seed=1, folder=folder)
        trained[devices] = module.state_dict(), metrics
        assert [path.name for path in folder.iterdir()] == ["metrics.csv"]
        assert not torch.distributed.is_initialized()
    (one, metrics), (two, metrics_of_two) = trained[1], trained[2]
    torch.manual_seed(1)
    start = _make(kind, _experiment(), digits).state_dict()
    assert max((one[name] - start[name]).abs().max() for name in one) > 0.01, "nothing was learnt"
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")
    assert metrics_of_two == pytest.approx(metrics, abs=1e-6)
    assert metrics.keys() == metrics_of_two.keys()


class _Act(pl.Callback):
    """Do something after the second batch."""

    def __init__(self, act: Callable[[], object]):
        self.act = act

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object, **__: object) -> None:
        if trainer.global_step == 2:
            self.act()


def _kill() -> None:
    (process,) = multiprocessing.active_children()
    process.kill()


def _stop() -> None:
    raise ValueError("enough")


def test_one_end_is_the_end_of_all_and_the_next_training_works(digits: IdentityDataset, tmp_path: Path):
    """A process that is killed is named, and what a callback raises leaves no process behind."""
    experiment = _experiment(**{"training.devices": 2})

    def train(*watching: pl.Callback) -> dict[str, float]:
        make = partial(_make, "full", experiment, digits)
        return fit(make, digits, seed=0, folder=tmp_path, watching=watching)[1]

    with pytest.raises(UserError, match=r"a worker process was killed \(SIGKILL\)"):
        train(_Act(_kill))
    with pytest.raises(ValueError, match="enough"):
        train(_Act(_stop))
    assert not multiprocessing.active_children()
    assert train()["epoch"] == 1


_PLUGIN = """
from pppl.backbones.convnet import ConvNet
from pppl.training import GlobalModule

class Mine(GlobalModule):
    def losses(self, x, y, *rest):
        logits, terms = super().losses(x, y, *rest)
        return logits, terms | {"more": logits.mean() * 0 + 1}
"""


def test_a_plugins_classes_are_known_to_all_processes_in_a_notebook_too(
    digits: IdentityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pytorch_lightning.trainer.connectors.accelerator_connector._IS_INTERACTIVE", True)
    (tmp_path / "mine.py").write_text(_PLUGIN)
    load_plugins([str(tmp_path / "mine.py")])
    import sys

    path = str(tmp_path / "mine.py")
    (kind,) = (module.Mine for module in [*sys.modules.values()] if getattr(module, "__file__", None) == path)
    experiment = _experiment(**{"training.devices": 2, "training.epochs": 1})
    backbone = build(spec_for("convnet", {"widths": (6, 8)}, digits.input_shape, 10))
    _, metrics = fit(lambda: kind(backbone, experiment.training, _TASK), digits, seed=0, folder=tmp_path / "logs")
    assert metrics["train_more"] == 1


@pytest.mark.slow
def test_a_worker_trains_on_several_devices_too(digits: IdentityDataset, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path / "cache"))
    experiment = _experiment(**{"training.devices": 2, "training.epochs": 1, "methods": ["full"]})
    with Workers(2) as pool:
        (accuracy,) = pool.spread(_train, [(experiment, digits, tmp_path)])
    (recipe,) = recipes(experiment, digits, 0)
    assert load_or_train(recipe, experiment, digits, tmp_path)[1]["val_accuracy"] == accuracy


def _train(task: tuple[Experiment, IdentityDataset, Path]) -> float:
    experiment, dataset, folder = task
    (recipe,) = recipes(experiment, dataset, 0)
    return load_or_train(recipe, experiment, dataset, folder)[1]["val_accuracy"]


def test_shares_of_random_numbers_are_parts_of_the_whole():
    x = torch.randn(9, 4, 3, 3).to(memory_format=torch.channels_last)
    torch.manual_seed(0)
    whole = torch.rand(9, 5), F.dropout(x, 0.4), F.dropout2d(x, 0.4), torch.rand(1)
    parts = []
    sizes = [4, 2, 3]
    for rank, own in enumerate(x.split(sizes)):
        torch.manual_seed(0)
        with WholeBatch(rank, sizes):
            parts.append((torch.rand(len(own), 5), F.dropout(own, 0.4), F.dropout2d(own, 0.4), torch.rand(1)))
    *shared, last = ([*parts] for parts in zip(*parts, strict=True))
    for expected, shares in zip(whole, shared, strict=False):
        assert torch.equal(torch.cat(shares), expected)
    assert all(torch.equal(each, whole[-1]) for each in last), "what is no sample's is the same everywhere"


def test_devices_that_are_not_there(digits: IdentityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert [device_count(asked) for asked in ("auto", 1, 2)] == [1, 1, 2]
    with pytest.raises(UserError, match=r"training\.devices is 3, but this machine has 2 processors: set at most 2"):
        device_count(3)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert device_count("auto") == 1
    with pytest.raises(UserError, match=r"this machine has 1 GPU: set at most 1"):
        device_count(2)
    with pytest.raises(UserError, match=r"training\.devices is 0: at least 1, or auto"):
        _experiment(**{"training.devices": 0})


def test_gates_that_are_trained_per_person_refuse_several_devices_before_anything_is_trained(
    digits: IdentityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path / "cache"))
    changes = {"training.devices": 2, "ppp.training": "persons", "methods": ["ppp"]}
    full, gated = recipes(experiment := _experiment(**changes), digits, 0)
    for recipe in (full, gated):
        with pytest.raises(UserError, match=r"ppp trains its gates for a person at a time .* training\.devices to 1"):
            load_or_train(recipe, experiment, digits, tmp_path)
    assert not [*(tmp_path / "cache").glob("*.safetensors")]
    with pytest.raises(UserError, match=r"training\.batch_size is 3: at least 4, 2 samples for each of 2 devices"):
        load_or_train(full, experiment.replace(**{"training.batch_size": 3}), digits, tmp_path)


def test_one_device_is_no_part_of_any_hash(digits: IdentityDataset, monkeypatch: pytest.MonkeyPatch):
    def hashes(devices: int | str) -> tuple[list[str], dict[str, str]]:
        experiment = _experiment(**{"training.devices": devices, "methods": ["full", "ppp"]})
        settings = {method: stamp["settings"] for method, stamp in fingerprints(experiment, digits).items()}
        return [recipe.key for recipe in recipes(experiment, digits, 0)], settings

    tree = _experiment().training.to_hash()
    assert "devices" not in tree
    assert set(tree) == {"epochs", "batch_size", "learning_rate", "weight_decay", "augment", "averaging", "threads"}
    keys, stamps = hashes(1)
    keys_of_two, stamps_of_two = hashes(2)
    assert not {*keys} & {*keys_of_two}
    assert not {*stamps.values()} & {*stamps_of_two.values()}

"""Several devices train the network that one trains: here as processes on a CPU."""

from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn

from pppl import Experiment
from pppl.backbones import build, spec_for
from pppl.data import IdentityDataset
from pppl.system.errors import UserError
from pppl.training import DistilledModule, GlobalModule, PPPModule, fit

_WIDTHS = {"convnet": {"widths": (6, 8)}, "bc_resnet1": {}}


class _Precise(GlobalModule):
    """In 64 bits nothing but the order of sums can differ, and that not visibly."""

    training_precision = "64-true"  # type: ignore[assignment]


class _PrecisePPP(PPPModule):
    training_precision = "64-true"  # type: ignore[assignment]


class _PreciseDistilled(DistilledModule):
    training_precision = "64-true"  # type: ignore[assignment]


def _experiment(**changes: object) -> Experiment:
    small = {"training.epochs": 2, "training.batch_size": 64, "training.learning_rate": 0.01}
    return Experiment().replace(**small, **changes)


def _make(kind: str, experiment: Experiment, dataset: IdentityDataset) -> GlobalModule:
    backbone = build(spec_for("convnet", {"widths": (6, 8)}, dataset.input_shape, 10))
    # A part of the network that draws random numbers, between two that have statistics of the batch.
    backbone.add_module("more", nn.Dropout(0.2))
    backbone.get_submodule(backbone.groups[1].producer).register_forward_pre_hook(_drop)
    if kind == "distilled":
        teacher = build(backbone.spec).double()
        return _PreciseDistilled(backbone, experiment.training, teacher, weight=0.5)
    if kind == "gated":
        return _PrecisePPP(backbone, experiment.training, experiment.ppp)
    return _Precise(backbone, experiment.training)


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

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from pppl import Experiment
from pppl.backbones import build, spec_for
from pppl.data import IdentityDataset, Support
from pppl.gating import GatedNetwork
from pppl.tasks import TASKS
from pppl.training import GlobalModule, PPPModule, finetune, fit


def _module(experiment: Experiment, digits: IdentityDataset) -> GlobalModule:
    return GlobalModule(
        build(spec_for("convnet", {"widths": (8, 8)}, digits.input_shape, 10)),
        experiment.training,
        TASKS["classification"],
    )


def test_the_seed_determines_the_weights(tiny: Experiment, digits: IdentityDataset, tmp_path: Path):
    def weights(seed: int, name: str) -> torch.Tensor:
        module, _ = fit(lambda: _module(tiny, digits), digits, seed=seed, folder=tmp_path / name)
        return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])

    first = weights(0, "a")
    torch.testing.assert_close(weights(0, "b"), first, rtol=0, atol=0)
    assert not torch.equal(weights(1, "c"), first)


def test_the_last_epoch_is_kept_though_an_earlier_one_validates_better(digits: IdentityDataset, tmp_path: Path):
    experiment = Experiment().replace(**{"training.epochs": 6, "training.learning_rate": 3.0})
    epochs: dict[int, dict[str, float]] = {}
    module, metrics = fit(
        lambda: _module(experiment, digits),
        digits,
        seed=0,
        folder=tmp_path,
        log_epoch=lambda values, epoch: epochs.update({epoch: dict(values)}),
    )
    assert sorted(epochs) == [0, 1, 2, 3, 4, 5]
    assert max(epochs[each]["val_accuracy"] for each in range(5)) > epochs[5]["val_accuracy"]
    assert metrics["val_accuracy"] == epochs[5]["val_accuracy"]
    assert metrics["epoch"] == 5
    validation = digits.rows(1)
    with torch.no_grad():  # a GPU trains it where there is one
        predicted = module.cpu()(digits.x[validation]).argmax(1)
    accuracy = (predicted == digits.y[validation]).float().mean().item()
    rounding = 0.01 if torch.cuda.is_available() else 1e-6  # bf16
    assert accuracy == pytest.approx(metrics["val_accuracy"], abs=rounding)
    assert (tmp_path / "metrics.csv").read_text().count("\n") > 4


def test_the_running_average_of_the_weights_is_kept(tiny: Experiment, digits: IdentityDataset, tmp_path: Path):
    experiment = tiny.replace(**{"training.epochs": 2, "training.averaging": 0.9})
    steps: list[dict[str, torch.Tensor]] = []

    class Recording(GlobalModule):
        def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
            steps.append({name: value.to("cpu", copy=True) for name, value in self.network.state_dict().items()})

    def module() -> GlobalModule:
        return Recording(_module(experiment, digits).network, experiment.training, TASKS["classification"])

    kept = fit(module, digits, seed=0, folder=tmp_path)[0].network.cpu().state_dict()
    assert len(steps) > 3
    for name, value in kept.items():
        average = steps[0][name].double()
        for step in steps[1:]:
            average = 0.9 * average + 0.1 * step[name]
        if value.is_floating_point():
            torch.testing.assert_close(value, average.float(), msg=name)
            assert not torch.equal(value, steps[-1][name]), name


def test_the_gated_module_adds_up_its_losses(tiny: Experiment, digits: IdentityDataset):
    torch.manual_seed(0)
    experiment = tiny.replace(**{"ppp.target_weight": 2.0, "ppp.prototype_weight": 0.5})
    module = PPPModule(
        build(spec_for("convnet", {"widths": (8, 8)}, digits.input_shape, 10)),
        experiment.training,
        TASKS["classification"],
        experiment.ppp,
    ).eval()
    x, y = digits.x[:40], digits.y[:40]
    assert isinstance(module.network, GatedNetwork)
    output = module.network(x)
    _, terms = module.losses(x, y)
    torch.testing.assert_close(terms["task"], torch.nn.functional.cross_entropy(output.logits, y))
    rates = torch.stack([gate.mean() for gate in output.gates])
    torch.testing.assert_close(terms["target"], 2 * (rates - experiment.ppp.target_rate).square().sum())
    assert terms["prototype"] > 0
    ablation = PPPModule(
        module.network.backbone,
        experiment.training,
        TASKS["classification"],
        experiment.replace(**{"ppp.prototype_weight": 0}).ppp,
    )
    assert "prototype" not in ablation.losses(x, y)[1]


def test_gates_learn_at_a_speed_of_their_own(tiny: Experiment, digits: IdentityDataset, tmp_path: Path):
    """With a learning rate next to nothing only fast gates move."""
    experiment = tiny.replace(**{"training.learning_rate": 1e-9, "training.weight_decay": 0.0, "ppp.gate_speed": 1e7})
    spec = spec_for("convnet", {"widths": (8, 12)}, digits.input_shape, 10)
    made: list[dict[str, torch.Tensor]] = []

    def make() -> PPPModule:
        module = PPPModule(build(spec), experiment.training, TASKS["classification"], experiment.ppp)
        made.append({name: value.clone() for name, value in module.network.named_parameters()})
        return module

    module, _ = fit(make, digits, seed=0, folder=tmp_path)
    moved = {n: (v - made[0][n]).abs().max().item() for n, v in module.network.named_parameters()}
    assert max(change for name, change in moved.items() if name.startswith("backbone.")) < 1e-6
    assert min(change for name, change in moved.items() if name.startswith("gates.")) > 1e-3


def test_training_reaches_the_target_rate(digits: IdentityDataset, tmp_path: Path):
    experiment = Experiment().replace(
        **{
            "training.epochs": 12,
            "training.batch_size": 64,
            "ppp.target_rate": 0.4,
            "ppp.target_weight": 5.0,
            "training.learning_rate": 0.02,
        }
    )
    spec = spec_for("convnet", {"widths": (8, 12)}, digits.input_shape, 10)
    module, _ = fit(
        lambda: PPPModule(build(spec), experiment.training, TASKS["classification"], experiment.ppp),
        digits,
        seed=0,
        folder=tmp_path,
    )
    assert isinstance(module.network, GatedNetwork)
    with torch.no_grad():
        gates = module.network(digits.x[digits.rows(1)]).gates
    assert torch.cat(gates, 1).mean().item() == pytest.approx(0.4, abs=0.15)


def test_the_gated_module_trains_in_mixed_precision(digits: IdentityDataset, monkeypatch: pytest.MonkeyPatch, tmp_path):
    """As `fit` does on a GPU; here on the CPU, whose autocast takes the same path through gates and losses."""
    real = pl.Trainer
    monkeypatch.setattr(pl, "Trainer", lambda **options: real(**options | {"precision": "bf16-mixed"}))
    experiment = Experiment().replace(**{"training.epochs": 8, "training.batch_size": 64, "ppp.prototype_weight": 0.3})
    spec = spec_for("convnet", {"widths": (16, 16)}, digits.input_shape, 10)
    module, metrics = fit(
        lambda: PPPModule(build(spec), experiment.training, TASKS["classification"], experiment.ppp),
        digits,
        seed=0,
        folder=tmp_path,
    )
    assert metrics["val_accuracy"] > 0.8
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    assert all(parameter.is_contiguous() for parameter in module.parameters())


def test_fine_tuning_learns_the_support_set_and_leaves_the_original_alone(digits: IdentityDataset):
    torch.manual_seed(0)
    network = build(spec_for("convnet", {"widths": (8, 8)}, digits.input_shape, 10)).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    rows = digits.rows(0)[:10]
    support = Support(x=digits.x[rows], y=digits.y[rows])
    tuned, samples = finetune(network, support, TASKS["classification"], steps=100, learning_rate=0.02)
    assert samples == 1000
    with torch.no_grad():
        assert (tuned(support.x).argmax(1) == support.y).float().mean() == 1
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)
    statistics = {k: v for k, v in tuned.state_dict().items() if "running" in k}
    assert all(torch.equal(v, before[k]) for k, v in statistics.items()), "batch statistics stay as they are"

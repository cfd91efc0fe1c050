import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import safetensors.torch
import torch
from torch import Tensor

from pppl import Experiment, compare
from pppl.backbones import Backbone, build, load_weights, spec_for
from pppl.comparison.global_models import load_or_train
from pppl.comparison.recipes import recipes
from pppl.data import IdentityDataset
from pppl.system.errors import UserError
from pppl.tasks import TASKS
from pppl.training import PPPModule


def network(seed: int, classes: int = 4) -> Backbone:
    torch.manual_seed(seed)
    return build(spec_for("resnet20", {"width": 4}, (3, 8, 8), classes))


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items() if "num_batches" not in name)


def save(state: dict[str, Tensor], path: Path) -> None:
    if path.suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in state.items() if "num_batches" not in name})
    elif path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3}, path)


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors", "w.ckpt"])
@pytest.mark.parametrize("prefix", ["", "module.", "network.backbone."])
def test_weights_come_back_from_every_kind_of_file(tmp_path: Path, name: str, prefix: str):
    source, target = network(0), network(1)
    state = {prefix + key: value for key, value in source.state_dict().items()}
    save(state | ({"network.gates.0.x": torch.ones(1)} if prefix.startswith("network") else {}), tmp_path / name)
    assert load_weights(target, tmp_path / name) == []
    assert same(source.state_dict(), target.state_dict())


def test_a_checkpoint_that_lightning_wrote(tmp_path: Path):
    experiment = Experiment()
    module = PPPModule(network(0), experiment.training, TASKS["classification"], experiment.ppp)
    trainer = pl.Trainer(accelerator="auto", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "gated.ckpt")
    target = network(1)
    load_weights(target, tmp_path / "gated.ckpt")
    assert same(module.network.backbone.state_dict(), target.state_dict())


def test_channel_indices_need_no_weights(tmp_path: Path):
    save(network(0).state_dict(), tmp_path / "w.npz")
    target = build(spec_for("resnet20", {"width": 4, "index_add": True}, (3, 8, 8), 4))
    assert load_weights(target, tmp_path / "w.npz") == []
    assert same(network(0).state_dict(), target.state_dict())


def test_a_head_for_other_classes_stays_fresh(tmp_path: Path):
    source, target = network(0, classes=4), network(1, classes=6)
    before = target.linear.weight.clone()  # type: ignore[union-attr,operator]
    save(source.state_dict(), tmp_path / "w.npz")
    assert load_weights(target, tmp_path / "w.npz") == ["linear.bias", "linear.weight"]
    assert torch.equal(target.get_parameter("linear.weight"), before)
    assert torch.equal(target.get_parameter("conv1.weight"), source.get_parameter("conv1.weight"))


def test_files_that_do_not_fit_or_cannot_be_read_safely(tmp_path: Path):
    state = network(0).state_dict()
    save({name: value for name, value in state.items() if name != "conv1.weight"}, tmp_path / "short.npz")
    save({**state, "conv1.weight": torch.zeros(9, 3, 3, 3)}, tmp_path / "wide.npz")
    np.savez(tmp_path / "pickled.npz", **{"conv1.weight": np.array([{}], dtype=object)})
    torch.save({"state_dict": {"conv1.weight": Path("x")}}, tmp_path / "pickled.ckpt")
    (tmp_path / "no.safetensors").write_bytes(b"\xff" * 20)
    (tmp_path / "no.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    np.savez(tmp_path / "text.npz", **{name: np.array(["a"]) for name in state})
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({1: torch.zeros(1)}, tmp_path / "numbers.ckpt")
    torch.save({"state_dict": [torch.zeros(1)]}, tmp_path / "list.ckpt")
    save({**state, "conv1.weight": torch.full((4, 3, 3, 3), torch.nan)}, tmp_path / "nan.npz")
    save({**state, "conv1.weight": torch.zeros(4, 3, 3, 3, dtype=torch.int64)}, tmp_path / "integers.npz")
    save({name.replace("linear", "fc"): value for name, value in state.items()}, tmp_path / "head.npz")
    expected = {
        "text.npz": "can be read safely",
        "array.npz": "can be read safely",
        "text.ckpt": "can be read safely",
        "numbers.ckpt": "it has no '.*' \\(it holds nothing",
        "list.ckpt": "it has no '.*' \\(it holds nothing",
        "nan.npz": "conv1.weight as torch.float32, not finite",
        "integers.npz": "conv1.weight as torch.int64",
        "head.npz": "it has no 'linear",
        "short.npz": r"it has no 'conv1\.weight' \(it holds bn1",
        "wide.npz": r"conv1\.weight is \(9, 3, 3, 3\), not \(4, 3, 3, 3\)",
        "pickled.npz": "cannot be read safely|can be read safely",
        "pickled.ckpt": "can be read safely",
        "no.safetensors": "is truncated or no safetensors file",
        "no.npz": "can be read safely",
        "empty.ckpt": "can be read safely",
        "missing.npz": "no file .*missing.npz",
    }
    for name, message in expected.items():
        with pytest.raises(UserError, match=message):
            load_weights(network(1), tmp_path / name)


def test_training_starts_from_the_weights_and_the_cache_tells_them_apart(
    tmp_path: Path, tiny: Experiment, digits: IdentityDataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PPPL_DATA", str(tmp_path))
    shape = spec_for("convnet", tiny.backbone.options, digits.input_shape, 10)
    start = build(shape).state_dict()
    save(start, tmp_path / "start.npz")
    still = {"training.learning_rate": 1e-12, "training.weight_decay": 0.0, "training.epochs": 1}
    warm = tiny.replace(**{"backbone.weights": "start.npz", "methods": ["ppp"], **still})
    keys = set()
    for recipe in recipes(warm, digits, seed=0):
        keys.add(recipe.key)
        module, _ = load_or_train(recipe, warm, digits, tmp_path)
        own = {name.removeprefix("backbone."): value for name, value in module.state_dict().items()}
        for name, parameter in build(shape).named_parameters():
            assert torch.allclose(own[name], start[name], atol=1e-6), f"{recipe.kind} {name} {parameter.shape}"
    assert keys.isdisjoint(r.key for r in recipes(warm.replace(**{"backbone.weights": ""}), digits, seed=0))
    with pytest.raises(UserError, match=r"backbone\.weights is 'missing\.npz': no such file here or in"):
        recipes(warm.replace(**{"backbone.weights": "missing.npz"}), digits, seed=0)


def test_rows_of_other_starting_weights_are_computed_again(
    tmp_path: Path, tiny: Experiment, digits: IdentityDataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PPPL_DATA", str(tmp_path))
    one = tiny.replace(**{"backbone.weights": "w.npz", "methods": ["full"], "seeds": [0], "training.epochs": 1})
    tables = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        save(build(spec_for("convnet", tiny.backbone.options, digits.input_shape, 10)).state_dict(), tmp_path / "w.npz")
        compare(one, tmp_path / "out")
        tables.append((tmp_path / "out" / "table.csv.gz").read_bytes())
        run = json.loads((tmp_path / "out" / "run.json").read_text())
        assert run["weights_sha256"] == hashlib.sha256((tmp_path / "w.npz").read_bytes()).hexdigest()
    assert tables[0] != tables[1]

import errno
import shutil
from pathlib import Path

import pytest
import torch

from pppl import Experiment
from pppl.comparison.global_models import list_training_devices, load_or_train
from pppl.comparison.network_files import load_network, read_device, save_network
from pppl.comparison.recipes import recipes
from pppl.comparison.train import train
from pppl.data import IdentityDataset
from pppl.system.errors import UserError
from pppl.system.ownership import RECORD


@pytest.fixture
def one(tiny: Experiment) -> Experiment:
    return tiny.replace(seeds=[0], methods=["full"], **{"training.epochs": 1})


def _cached(folder: Path) -> Path:
    (path,) = folder.glob("full-*.safetensors")
    return path


def _train(one: Experiment, digits: IdentityDataset, folder: Path) -> torch.nn.Module:
    (recipe,) = recipes(one, digits, seed=0)
    return load_or_train(recipe, one, digits, folder)[0]


def test_a_network_is_trained_once(one: Experiment, digits: IdentityDataset, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path / "cache"))
    first = _train(one, digits, tmp_path)
    assert "training full, seed 0" in capsys.readouterr().err
    second = _train(one, digits, tmp_path)
    assert capsys.readouterr().err == ""
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert list(tmp_path.joinpath("training").glob("[!.]*")) == [tmp_path / "training" / "full-seed0.csv"]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-50] ^= 1
    path.write_bytes(bytes(data))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other_version(path: Path) -> None:
    data = path.read_bytes()
    assert data.count(b'"pppl":"') == 1
    start = data.index(b'"pppl":"') + 8
    path.write_bytes(data[:start] + b"0" + data[start + 1 :])


def _other_shape(path: Path) -> None:
    data = path.read_bytes()
    assert b"[8, 12, 12]" in data
    path.write_bytes(data.replace(b"[8, 12, 12]", b"[9, 12, 12]"))


@pytest.mark.parametrize(
    ("damage", "notice"),
    [
        (_truncate, "is truncated or no safetensors file"),
        (_empty, "is truncated or no safetensors file"),
        (_alter, "is altered"),
        (_other_shape, "is altered"),
        (_other_version, "is of another version"),
    ],
)
def test_a_damaged_cache_is_rebuilt_with_a_notice(
    damage, notice: str, one: Experiment, digits: IdentityDataset, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path / "cache"))
    _train(one, digits, tmp_path)
    path = _cached(tmp_path / "cache")
    whole = load_network(path)[0].state_dict()
    damage(path)
    capsys.readouterr()
    _train(one, digits, tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("; training it again")
    assert notice in lines[0]
    assert str(path) in lines[0]
    for key, value in load_network(path)[0].state_dict().items():
        torch.testing.assert_close(value, whole[key], rtol=0, atol=0)


def test_the_key_follows_what_determines_the_weights(tiny: Experiment, digits: IdentityDataset):
    def keys(seed: int = 0, **changes) -> dict[str, str]:
        return {recipe.kind: recipe.key for recipe in recipes(tiny.replace(**changes), digits, seed)}

    base = keys()
    assert len(set(base.values())) == 3
    assert keys(**{"persons.shots": 2, "budgets": [0.3], "ppp.prototypes": "sequential"}) == base
    for changes in ({"training.epochs": 9}, {"backbone.options.widths": [4, 4]}):
        assert not set(keys(**changes).values()) & set(base.values())
    assert not set(keys(seed=5).values()) & set(base.values())
    beta = keys(**{"ppp.prototype_weight": 9.0})
    assert (beta["full"], beta["gated"]) == (base["full"], base["gated"])
    assert beta["ppp"] != base["ppp"]


def test_train_leaves_networks_that_load(tiny: Experiment, tmp_path: Path):
    table = train(tiny.replace(seeds=[0], methods=["ppp"]), tmp_path)
    assert table["network"].tolist() == ["full", "ppp"]
    network, metrics = load_network(tmp_path / "models" / "ppp-seed0.safetensors")
    assert not network.training
    assert metrics["val_loss"] > 0
    assert (tmp_path / "run.json").exists()


def test_a_file_keeps_what_its_network_was_trained_on(
    one: Experiment, digits: IdentityDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pppl.comparison.network_files.device_name", lambda: "a GPU")
    _train(one, digits, tmp_path)
    monkeypatch.setattr("pppl.comparison.network_files.device_name", lambda: "another machine")
    train(one, tmp_path)
    assert read_device(tmp_path / "models" / "full-seed0.safetensors") == "a GPU"
    assert list_training_devices(one, {0: digits, 1: digits}) == {"a GPU": ["full-seed0"]}


def test_train_refuses_to_replace_a_corrupted_network(one: Experiment, tmp_path: Path):
    train(one, tmp_path)
    path = tmp_path / "models" / "full-seed0.safetensors"
    _truncate(path)
    damaged = path.read_bytes()
    with pytest.raises(UserError, match=r"full-seed0\.safetensors is truncated.*delete it"):
        train(one, tmp_path)
    assert path.read_bytes() == damaged
    path.unlink()
    train(one, tmp_path)
    load_network(path)


def test_a_network_whose_layers_share_a_tensor_is_saved(one: Experiment, digits: IdentityDataset, tmp_path: Path):
    network = _train(one, digits, tmp_path / "trained")
    norms = [each for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    norms[0].bias = norms[0].weight
    (recipe,) = recipes(one, digits, seed=0)
    save_network(tmp_path / "network.safetensors", recipe, network, {})
    again = load_network(tmp_path / "network.safetensors")[0].state_dict()
    assert all(value.equal(again[name]) for name, value in network.state_dict().items())


def test_saving_is_atomic(one: Experiment, digits: IdentityDataset, tmp_path: Path, monkeypatch):
    network = _train(one, digits, tmp_path)
    (recipe,) = recipes(one, digits, seed=0)
    path = tmp_path / "network.safetensors"
    save_network(path, recipe, network, {})
    whole = path.read_bytes()

    def fail(file: Path, content: bytes) -> None:
        with file.open("wb") as half:
            half.write(content[:100])
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match=rf"disk full: '{path}'"):
        save_network(path, recipe, network, {})
    assert path.read_bytes() == whole
    assert [p.name for p in tmp_path.glob(".*")] == [RECORD]
    shutil.rmtree(tmp_path)


def test_a_read_only_cache_can_be_read_and_says_when_it_cannot_be_written(
    one: Experiment, digits: IdentityDataset, tmp_path: Path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="set PPPL_CACHE to a folder that can be written"):
        _train(one, digits, tmp_path)


def test_the_number_of_threads_changes_nothing(one: Experiment, tmp_path: Path, monkeypatch):
    weights = []
    try:
        for threads in (1, 2):
            monkeypatch.setenv("PPPL_CACHE", str(tmp_path / f"cache{threads}"))
            torch.set_num_threads(threads)
            train(one.replace(**{"backbone.options.widths": [64, 64]}), tmp_path / str(threads))
            assert torch.get_num_threads() == threads
            network, _ = load_network(tmp_path / str(threads) / "models" / "full-seed0.safetensors")
            weights.append(torch.cat([value.flatten().double() for value in network.state_dict().values()]))
    finally:
        torch.set_num_threads(1)
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)

"""Gates on a user's own network, with their own batches."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from own_nets import TwoInputs
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import pppl
from pppl.lab import TrainedGates
from pppl.system.errors import UserError
from pppl.training.own_batches import split_batch


def _data(count: int = 96) -> tuple[Tensor, Tensor]:
    """Images whose class is the brightest quarter."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 4
    x = torch.rand(count, 1, 8, 8, generator=generator)
    for index, target in enumerate(y.tolist()):
        top, left = 4 * (target // 2), 4 * (target % 2)
        x[index, :, top : top + 4, left : left + 4] += 1
    return x, y


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Conv2d(12, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 4)
    )


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, TrainedGates]:
    net = _net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    loader = DataLoader(TensorDataset(*_data()), batch_size=16, shuffle=True)
    gates = pppl.train_gates(net, loader, epochs=6, learning_rate=1e-2, progress=False)
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())
    return net, gates


def test_a_person_gets_a_smaller_network_of_the_same_class(trained: tuple[nn.Module, TrainedGates]):
    net, gates = trained
    x, y = _data()
    small = gates.personalize(x[:5], budget=0.5)
    assert type(small.module) is type(net)
    assert small.cost.macs <= 0.5 * small.full_cost.macs
    assert small.cost.params == sum(parameter.numel() for parameter in small.module.parameters())
    assert (small.module(x).argmax(1) == y).float().mean() > 0.6
    assert "2 groups with 28 channels" in str(gates.groups)
    again = gates.personalize(x[:5], budget=0.5)
    assert all(one.equal(other) for one, other in zip(small.masks, again.masks, strict=True))


def test_the_same_seed_gives_the_same_gates():
    loader = DataLoader(TensorDataset(*_data(32)), batch_size=16, shuffle=True)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    nets = _net(), _net()
    torch.set_rng_state(state)
    one, other = (pppl.train_gates(net, loader, epochs=1, progress=False) for net in nets)
    assert torch.get_rng_state().equal(state)
    for name, value in one.network.state_dict().items():
        assert value.equal(other.network.state_dict()[name]), name


class _Rows(Dataset[dict[str, Tensor]]):
    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(index)
        image, vector = torch.rand(3, 8, 8, generator=generator), torch.rand(5, generator=generator)
        return {"image": image, "vector": vector, "labels": torch.tensor(index % 4)}


class _OneOutput(TwoInputs):
    def forward(self, image: Tensor, vector: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(image, vector)["classes"]


class _Module(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(_Rows(), batch_size=8)


def test_dictionaries_from_a_data_module():
    gates = pppl.train_gates(_OneOutput(), _Module(), epochs=1, progress=False)
    person = {"image": torch.rand(3, 3, 8, 8), "vector": torch.rand(3, 5)}
    small = gates.personalize(person, budget=0.6)
    assert small.module(**person).shape == (3, 4)


def test_a_transformer_with_its_own_batches():
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=50, num_labels=3, **sizes)
    rows = [{"input_ids": torch.full((6,), 3 + index), "labels": torch.tensor(index % 3)} for index in range(12)]
    gates = pppl.train_gates(
        transformers.BertForSequenceClassification(config),
        DataLoader(rows, batch_size=6),  # type: ignore[arg-type]
        epochs=1,
        progress=False,
    )
    small = gates.personalize({"input_ids": torch.full((2, 6), 4)}, budget=0.6)
    assert small.module(input_ids=torch.full((2, 6), 4)).logits.shape == (2, 3)
    assert small.cost.macs <= 0.6 * small.full_cost.macs


def test_a_smaller_network_is_kept_without_pickles(trained: tuple[nn.Module, TrainedGates], tmp_path: Path):
    x, _ = _data()
    small = trained[1].personalize(x[:5], budget=0.5)
    path = small.save(tmp_path / "small.safetensors")
    fresh = _net().eval()
    before = fresh(x)
    again = pppl.load_small(path, fresh)
    assert again(x).equal(small.module(x))
    assert fresh(x).equal(before), "the whole network stays"
    assert f"with {small.cost.macs:,} of {small.full_cost.macs:,} MACs" in repr(small)
    with pytest.raises(UserError, match="is of another network than this Linear"):
        pppl.load_small(path, nn.Linear(2, 2))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="truncated or altered"):
        pppl.load_small(path, _net())
    with pytest.raises(UserError, match="is not there"):
        pppl.load_small(tmp_path / "other.safetensors", _net())


def test_samples_are_read_as_the_network_reads_its_batches(trained: tuple[nn.Module, TrainedGates]):
    x, _ = _data()
    masks = trained[1].personalize(x[:4], budget=0.5).masks
    for samples in (x[:4].double(), x[:4].numpy(), x[:4].tolist()):
        again = trained[1].personalize(samples, budget=0.5).masks
        assert all(one.equal(other) for one, other in zip(masks, again, strict=True))


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (torch.rand(1, 8, 8), r"samples have shape \(1, 8, 8\): give one sample or more, as \(N, 1, 8, 8\)"),
        (torch.rand(0, 1, 8, 8), "give one sample or more"),
        (torch.full((2, 1, 8, 8), torch.nan), "not finite"),
        (torch.rand(2, 3, 8, 8), "cannot be called with these samples: "),
    ],
)
def test_samples_that_do_not_fit_are_refused(trained: tuple[nn.Module, TrainedGates], samples: Tensor, sentence: str):
    with pytest.raises(UserError, match=sentence):
        trained[1].personalize(samples, budget=0.5)


@pytest.mark.parametrize("budget", [0.0, 1.5, "40kB"])
def test_a_budget_is_a_fraction(trained: tuple[nn.Module, TrainedGates], budget: Any):
    with pytest.raises(UserError, match="a fraction of the MACs"):
        trained[1].personalize(_data()[0][:2], budget=budget)


def test_a_budget_that_is_too_small_is_told(trained: tuple[nn.Module, TrainedGates]):
    with pytest.raises(UserError, match="the least possible budget is"):
        trained[1].personalize(_data()[0][:2], budget=1e-4)


def test_batches_without_targets_and_of_one_sample_are_refused():
    x, y = _data(8)
    with pytest.raises(UserError, match="a batch has one sample"):
        pppl.train_gates(_net(), DataLoader(TensorDataset(x, y), batch_size=1), epochs=1, progress=False)
    with pytest.raises(UserError, match="a batch has no targets"):
        pppl.train_gates(_net(), DataLoader(TensorDataset(x), batch_size=4), epochs=1, progress=False)
    with pytest.raises(UserError, match="a batch has image, but no targets: name them labels"):
        split_batch({"image": x})
    with pytest.raises(UserError, match="batches are list: give a DataLoader"):
        pppl.train_gates(_net(), [(x, y)], epochs=1, progress=False)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"cannot be trained on targets of shape \(4,\) and torch.float32"):
        pppl.train_gates(_net(), DataLoader(TensorDataset(x, y.float()), batch_size=4), epochs=1, progress=False)
    with pytest.raises(UserError, match="set drop_last=True"):
        pppl.train_gates(_net(), DataLoader(TensorDataset(x[:5], y[:5]), batch_size=4), epochs=1, progress=False)

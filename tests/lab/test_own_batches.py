"""Batches of a user's own: which forms gates are trained on, and what is refused before any training."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import pppl
from pppl.system.errors import UserError
from pppl.training.own_batches import OwnBatches, first_batch, like, split_batch


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4))


def _data(count: int = 24) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.rand(count, 5, generator=generator), torch.arange(count) % 4)


class _Nested(Dataset[Any]):
    """Samples that are an image and a pair of vectors."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Any:
        generator = torch.Generator().manual_seed(index)
        image, *vectors = (torch.rand(size, generator=generator) for size in (6, 5, 3))
        return (image, tuple(vectors)), index % 4


class _ReadsPairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image, self.one, self.two = nn.Linear(6, 8), nn.Linear(5, 8), nn.Linear(3, 8)
        self.both, self.head = nn.Linear(8, 12), nn.Linear(12, 4)

    def forward(self, image: Tensor, vectors: tuple[Tensor, Tensor]) -> Tensor:
        x = self.image(image) + self.one(vectors[0]) + self.two(vectors[1])
        return self.head(torch.relu(self.both(torch.relu(x))))


def test_tuples_of_inputs_also_inside_tuples():
    """PyTorch's loader makes lists of them."""
    loader = DataLoader(_Nested(), batch_size=8)
    assert isinstance(next(iter(loader))[0], list)
    gates = pppl.train_gates(_ReadsPairs(), loader, epochs=1, progress=False)
    person = (torch.rand(3, 6), (torch.rand(3, 5), torch.rand(3, 3)))
    small = gates.personalize(person, budget=0.7)
    assert small.module(*person).shape == (3, 4)
    assert small.cost.macs <= 0.7 * small.full_cost.macs
    again = gates.personalize([person[0], [*person[1]]], budget=0.7)
    assert all(one.equal(other) for one, other in zip(small.masks, again.masks, strict=True))


def test_lists_are_tuples_in_every_form_of_a_batch():
    x, y = torch.rand(2, 5), torch.arange(2)
    assert isinstance(split_batch([[x, [x, x]], y])[0][1], tuple)
    assert isinstance(split_batch((x, [x, x], y))[0][1], tuple)
    assert isinstance(split_batch({"inputs": [x, x], "labels": y})[0]["inputs"], tuple)


class _Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield from _data()


class _Known(_Endless):
    def __len__(self) -> int:
        return 24


class _Dictionaries(Dataset[Any]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        return torch.rand(5), {"class": index % 4}


class _Distances(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(5, 12), nn.Linear(12, 8)
        self.centers = nn.Parameter(torch.rand(4, 8))

    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(self.two(torch.relu(self.one(x))), self.centers)


class _TwoHeadsInTraining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.other = _net(), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return (self.net(x), self.other(x)) if self.training else self.net(x)


def _weight_norm() -> nn.Module:
    net = _net()
    nn.utils.weight_norm(net[2])  # type: ignore[index]
    return net


REFUSED: dict[str, tuple[Callable[[], Any], Callable[[], Any], str]] = {
    "no full batch": (_net, lambda: DataLoader(_data(5), batch_size=8, drop_last=True), "there is no batch: give more"),
    "no length": (_net, lambda: DataLoader(_Endless(), batch_size=8), "no length, .*: give their data set a __len__"),
    "targets in a dictionary": (_net, lambda: DataLoader(_Dictionaries(), batch_size=4), "of a batch are dict: give"),
    "one target": (_net, lambda: DataLoader(_data(), batch_size=None), "of a batch are one number: give"),
    "one sample": (_net, lambda: DataLoader(_data(), batch_size=1), "a batch has one sample.* another batch_size"),
    "one in the last": (_net, lambda: DataLoader(_data(17), batch_size=8), "a batch has one sample.*drop_last=True"),
    "weight_norm": (
        _weight_norm,
        lambda: DataLoader(_data(), batch_size=8),
        "weight of '2' is computed in each pass.*remove_we",
    ),
    "meta": (lambda: _net().to("meta"), lambda: DataLoader(_data(), batch_size=8), "Sequential cannot be copied: "),
    "no network": (lambda: "net", lambda: DataLoader(_data(), batch_size=8), "module is str: give a network"),
    "other outputs": (
        _TwoHeadsInTraining,
        lambda: DataLoader(_data(), batch_size=8),
        "returns a tuple in training mode: return a tensor, or an output with .logits",
    ),
    "not counted": (_Distances, lambda: DataLoader(_data(), batch_size=8), "distances of vectors"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_what_cannot_be_trained_is_told_before_training(case: str, monkeypatch: pytest.MonkeyPatch):
    make, loader, sentence = REFUSED[case]
    monkeypatch.setattr(OwnBatches, "training_step", lambda *_: pytest.fail("it is being trained"))
    with pytest.raises(UserError, match=sentence) as error:
        pppl.train_gates(make(), loader(), epochs=1, progress=False)
    assert "\n" not in str(error.value)


def test_a_parametrized_layer_keeps_its_channels():
    net = _net()
    nn.utils.parametrizations.weight_norm(net[0])  # type: ignore[index]
    gates = pppl.train_gates(net, DataLoader(_data(), batch_size=8), epochs=1, progress=False)
    small = gates.personalize(torch.rand(3, 5), budget=0.8)
    assert small.module(torch.rand(3, 5)).shape == (3, 4)
    assert "computes its weight from others" in str(gates.groups)


@pytest.mark.filterwarnings("ignore:Your `IterableDataset` has `__len__` defined")
def test_a_stream_of_known_length_is_trained_on():
    gates = pppl.train_gates(_net(), DataLoader(_Known(), batch_size=8), epochs=2, progress=False)
    assert gates.personalize(torch.rand(3, 5), budget=0.8).module(torch.rand(2, 5)).shape == (2, 4)


def test_frozen_layers_stay_frozen_in_the_small_network():
    net = _net()
    net[0].requires_grad_(False)  # type: ignore[index]
    gates = pppl.train_gates(net, DataLoader(_data(), batch_size=8), epochs=1, progress=False)
    small = gates.personalize(torch.rand(3, 5), budget=0.8).module
    assert [name for name, value in small.named_parameters() if not value.requires_grad] == ["0.weight", "0.bias"]


def test_the_first_batch_is_one_of_the_loader():
    inputs, targets = first_batch(DataLoader(_data(17), batch_size=8, drop_last=True))
    assert inputs.shape == (8, 5)
    assert targets.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize("samples", [[["a"]], [[1.0], [1.0, 2.0]], None])
def test_samples_that_are_no_numbers_are_refused(samples: Any):
    with pytest.raises(UserError, match="samples are no tensor and no array of numbers"):
        like(samples, torch.zeros(1, 2))


def test_a_shape_may_be_a_list():
    table = pppl.groups("convnet", [1, 8, 8], options={"widths": (4, 8)})
    assert str(table) == str(pppl.groups("convnet", (1, 8, 8), options={"widths": (4, 8)}))


def test_inputs_without_samples_may_have_any_values():
    example = {"x": torch.rand(4, 5), "scale": torch.ones(()), "mask": torch.full((7, 7), -torch.inf).triu(1)}
    person = {**example, "x": torch.rand(3, 5)}
    again = like(person, example)
    assert all(again[name].equal(value) for name, value in person.items())
    assert like({**person, "scale": 0.5}, example)["scale"] == 0.5
    with pytest.raises(UserError, match="samples have values that are not finite"):
        like({**person, "x": torch.full((3, 5), torch.inf)}, example)
    with pytest.raises(UserError, match=r"samples have shape \(3,\): give one number"):
        like({**person, "scale": torch.ones(3)}, example)


@pytest.mark.parametrize("samples", [3, 7])
def test_a_mask_of_as_many_tokens_as_samples_may_be_infinite(samples: int):
    example = {"x": torch.rand(3, 3, 5), "mask": torch.full((3, 3), -torch.inf).triu(1)}
    size = (samples, samples)
    like({"x": torch.rand(*size, 5), "mask": torch.full(size, -torch.inf).triu(1)}, example)


@pytest.mark.parametrize("sample", [torch.zeros(1, 3, 32, 32), (3, "32", 32), 32, {"x": 3}])
def test_a_name_needs_a_shape(sample: Any):
    with pytest.raises(UserError, match=r"^sample is a \w+: for 'resnet20', give the shape of one, as \(C, H, W\)$"):
        pppl.groups("resnet20", sample)


def test_groups_of_a_name_leave_random_numbers_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    pppl.groups("convnet", (1, 8, 8), options={"widths": (4, 8)})
    assert torch.get_rng_state().equal(state)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_network_and_samples_on_a_gpu():
    net = _net().cuda()
    before = copy.deepcopy(net.state_dict())
    data = TensorDataset(*(each.cuda() for each in _data().tensors))
    gates = pppl.train_gates(net, DataLoader(data, batch_size=8), epochs=1, progress=False)
    assert all(value.is_cuda and value.equal(before[name]) for name, value in net.state_dict().items())
    samples = torch.rand(3, 5)
    small = gates.personalize(samples.cuda(), budget=0.7)
    again = gates.personalize(samples, budget=0.7)
    assert all(one.equal(other) for one, other in zip(small.masks, again.masks, strict=True))
    assert small.module(samples).shape == (3, 4)

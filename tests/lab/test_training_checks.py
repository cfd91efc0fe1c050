"""Networks that gates cannot be trained on, which is told before any training, and modes that layers keep."""

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import pppl
from pppl.system.errors import UserError
from pppl.training.own_batches import OwnBatches


def _loader(dtype: torch.dtype = torch.float32) -> DataLoader[Any]:
    x = torch.rand(24, 5, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(x.to(dtype), torch.arange(24) % 4), batch_size=8)


def _block(channels: int, hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, 8), nn.ReLU())


class _Checkpointed(nn.Module):
    """Two blocks, of which the second one is run again in the backward pass."""

    def __init__(self, again: Callable[[nn.Module, Tensor], Tensor]):
        super().__init__()
        self.first, self.second, self.head, self.again = _block(5, 12), _block(8, 10), nn.Linear(8, 4), again

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head(self.again(self.second, x) if self.training else self.second(x))


def _without_gradient(block: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return block(x)


AGAIN: dict[str, tuple[Callable[[nn.Module, Tensor], Any], str]] = {
    "reentrant": (
        lambda block, x: checkpoint(block, x, use_reentrant=True),
        r"^the gates of 'second.0' get no gradient, .*: switch gradient checkpointing off$",
    ),
    "not reentrant": (
        lambda block, x: checkpoint(block, x, use_reentrant=False),
        "^gates cannot be trained: .*; if the network uses .*, switch gradient checkpointing off$",
    ),
    "no gradient": (_without_gradient, r"'second.0' get no gradient, .*torch.no_grad or layer drop"),
}


@pytest.mark.parametrize("case", AGAIN)
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")
def test_gates_without_a_gradient_are_refused(case: str, monkeypatch: pytest.MonkeyPatch):
    again, sentence = AGAIN[case]
    monkeypatch.setattr(OwnBatches, "training_step", lambda *_: pytest.fail("it is being trained"))
    with pytest.raises(UserError, match=sentence) as error:
        pppl.train_gates(_Checkpointed(again), _loader(), epochs=1, progress=False)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
def test_a_transformer_with_gradient_checkpointing_is_refused():
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
    net = transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=50, num_labels=3, **sizes))
    net.train().gradient_checkpointing_enable()
    rows: Any = [{"input_ids": torch.full((6,), 3 + index), "labels": torch.tensor(index % 3)} for index in range(12)]
    with pytest.raises(UserError, match="switch gradient checkpointing off"):
        pppl.train_gates(net, DataLoader(rows, batch_size=6), epochs=1, progress=False)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_refused(dtype: torch.dtype):
    net = nn.Sequential(_block(5, 12), nn.Linear(8, 4)).to(dtype)
    with pytest.raises(UserError, match=r"^Sequential is in b?float16, .*: call .float\(\) before$"):
        pppl.train_gates(net, _loader(dtype), epochs=1, progress=False)


def test_double_precision_is_trained_on():
    net = nn.Sequential(_block(5, 12), nn.Linear(8, 4)).double()
    gates = pppl.train_gates(net, _loader(torch.float64), epochs=1, progress=False)
    small = gates.personalize(torch.rand(3, 5), budget=0.7)
    assert small.module(torch.rand(3, 5).double()).dtype == torch.float64


class _TakesOne(nn.Module):
    """A network that takes one dictionary and returns one, or a tensor."""

    def __init__(self, returned: str = ""):
        super().__init__()
        self.net, self.returned = nn.Sequential(_block(5, 12), nn.Linear(8, 4)), returned

    def forward(self, batch: dict[str, Tensor]) -> Any:
        outputs = self.net(batch["x"])
        return {self.returned: outputs} if self.returned else outputs


def _rows(*, tuples: bool) -> DataLoader[Any]:
    rows = [(({"x": x},) if tuples else {"x": x}, index % 4) for index, x in enumerate(torch.rand(16, 5))]
    return DataLoader(rows, batch_size=8)  # type: ignore[arg-type]


def test_one_dictionary_belongs_in_a_tuple():
    with pytest.raises(
        UserError, match="keyword argument 'x'; if the network takes one dictionary, give it in a tuple"
    ):
        pppl.train_gates(_TakesOne(), _rows(tuples=False), epochs=1, progress=False)
    with pytest.raises(UserError, match="give it in a tuple"):
        pppl.groups(_TakesOne(), {"x": torch.rand(2, 5)})
    gates = pppl.train_gates(_TakesOne(), _rows(tuples=True), epochs=1, progress=False)
    person = {"x": torch.rand(3, 5)}
    assert gates.personalize((person,), budget=0.7).module(person).shape == (3, 4)


def test_outputs_that_are_no_tensor_are_named():
    with pytest.raises(UserError, match="the network returns a dict in evaluation mode: return a tensor, or an output"):
        pppl.train_gates(_TakesOne("scores"), _rows(tuples=True), epochs=1, progress=False)


def _normalized() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(5, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)
    )


@pytest.mark.parametrize("validated", [False, True])
def test_layers_in_evaluation_mode_stay_in_it(validated: bool):
    net = _normalized()
    net[1].eval()  # type: ignore[index]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    batches = _WithValidation() if validated else _loader()
    trained = pppl.train_gates(net, batches, epochs=2, progress=False).network.backbone.net
    assert trained[1].running_mean.equal(before["1.running_mean"])  # type: ignore[index]
    assert not trained[4].running_mean.equal(before["4.running_mean"])  # type: ignore[index]
    assert net.training
    assert not net[1].training  # type: ignore[index]


class _WithValidation(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader[Any]:
        return _loader()

    def val_dataloader(self) -> DataLoader[Any]:
        return _loader()


def test_a_network_in_evaluation_mode_is_trained_as_a_whole():
    net = _normalized().eval()
    trained = pppl.train_gates(net, _loader(), epochs=1, progress=False).network.backbone.net
    assert not trained[1].running_mean.equal(net[1].running_mean)  # type: ignore[index]


class _KeepsPositions(nn.Module):
    """A network that computes a table in its first pass, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head, self.table = nn.Linear(5, 12), nn.Linear(12, 8), nn.Linear(8, 4), {}

    def forward(self, x: Tensor) -> Tensor:
        if "positions" not in self.table or len(self.table["positions"]) < len(x):
            self.table["positions"] = torch.arange(len(x))[:, None].to(x.dtype) + 1
        return self.head(torch.relu(self.two(torch.relu(self.one(x)))) * self.table["positions"][: len(x)])


def test_what_a_network_keeps_from_personalizing_can_be_trained_with():
    gates = pppl.train_gates(_KeepsPositions(), _loader(), epochs=1, progress=False)
    small = gates.personalize(torch.rand(40, 5), budget=0.7).module
    small.train()(torch.rand(40, 5)).sum().backward()
    assert all(parameter.grad is not None for parameter in small.parameters())


def test_one_number_for_each_sample_may_have_no_dimension():
    x = torch.rand(64, 4, generator=torch.Generator().manual_seed(0))
    fractions = []
    for y in (x.sum(1), x.sum(1, keepdim=True)):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
        loader = DataLoader(TensorDataset(x, y), batch_size=16)
        gates = pppl.train_gates(net, loader, epochs=2, task="regression", progress=False)
        fractions.append(gates.network.backbone(x))
    assert fractions[0].equal(fractions[1])


@pytest.mark.parametrize(
    ("task", "targets", "sentence"),
    [
        ("classification", nn.functional.one_hot(torch.arange(24) % 4, 4).float(), "takes one whole number for each"),
        ("classification", (torch.arange(24) % 4)[:, None].float(), "size of input|whole number|shape"),
        ("regression", torch.rand(24, 3), r"shape \(8, 4\) have targets of shape \(8, 3\): give one for each"),
    ],
)
def test_targets_of_another_kind_are_told(task: str, targets: Tensor, sentence: str):
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4))
    loader = DataLoader(TensorDataset(torch.rand(24, 5), targets), batch_size=8)
    with pytest.raises(UserError, match=sentence) as error:
        pppl.train_gates(net, loader, epochs=1, task=task, progress=False)
    assert "gradient checkpointing" not in str(error.value)


def test_a_list_of_samples_is_a_batch():
    net = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 4))
    gates = pppl.train_gates(net, _loader(), epochs=1, progress=False)
    x = torch.rand(2, 5)
    one, other = (gates.personalize(samples, budget=0.5) for samples in (x, [x[0], x[1]]))
    assert all(mask.equal(same) for mask, same in zip(one.masks, other.masks, strict=True))


def test_a_sample_without_a_batch_is_told():
    with pytest.raises(UserError, match=r"is one sample: give it a batch dimension, as by sample\[None\]"):
        pppl.groups(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 4)), torch.rand(1, 8, 8))

"""Networks that look right, or wrong, only by accident: outputs that hide channels, inputs that are no samples."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from masking import assert_close, masked, masks_of, with_values
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pppl.backbones import Adapted, slice_network
from pppl.lab import groups
from pppl.pruning import CostModel
from pppl.system.errors import UserError


class _Divided(nn.Module):
    """Each channel is divided by the mean of all, so that none can go; `after` hides that."""

    def __init__(self, after: Callable[[Tensor], Tensor], values: float = 1.0) -> None:
        super().__init__()
        self.a, self.b, self.up, self.head = nn.Linear(6, 8), nn.Linear(8, 6), nn.Linear(6, 7), nn.Linear(7, 6)
        self.after, self.values = after, values

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.a(x / self.values)) + 0.1
        y = self.b(h / h.mean(1, keepdim=True))
        return self.after(x + 0.1 * y if self.values > 1 else y) + 0 * self.head(F.relu(self.up(x)))


@pytest.mark.parametrize(
    ("after", "values"),
    [
        (lambda y: y, 1.0),
        (lambda y: y + 2000, 1.0),
        (lambda y: (20 * y).sigmoid(), 1.0),
        (lambda y: F.relu(y - 100), 1.0),
        (lambda y: y, 255.0),
    ],
)
def test_outputs_that_hide_channels_are_no_proof(after: Callable[[Tensor], Tensor], values: float):
    torch.manual_seed(0)
    with pytest.raises(UserError, match=r"masking them does not equal|do not change without them"):
        Adapted(_Divided(after, values), values * torch.rand(4, 6))


def test_a_weight_of_zeros_hides_nothing():
    torch.manual_seed(0)
    net = _Divided(lambda y: y)
    last = nn.Sequential(net, nn.Linear(6, 3))
    nn.init.zeros_(last[1].weight)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="masking them does not equal"):
        Adapted(last, torch.rand(4, 6))


class _Scaled(nn.Module):
    """A residual block that training begins almost without: its layer scale is small, or zero."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.up, self.down, self.scale = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 4, 1), nn.Parameter(scale)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.down(F.relu(self.up(x)))


@pytest.mark.parametrize(
    "scale",
    [torch.full((4, 1, 1), 1e-6), torch.full((1, 4, 1, 1), 1e-6), torch.zeros(()), torch.zeros(1, 4, 4, 4)],
    ids=["as ConvNeXt's", "with samples", "ReZero", "by position"],
)
def test_a_small_layer_scale_hides_nothing(scale: Tensor):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), _Scaled(scale), nn.Flatten(), nn.Linear(64, 5))
    assert Adapted(network, torch.rand(2, 3, 4, 4)).widths == (8,)


class _Wide(nn.Module):
    """Layers that state how many channels they read, in ways of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 8, 1), nn.Conv2d(8, 6, 1)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.one(x))
        assert x.shape[1] == 16
        x = F.relu(self.two(x))
        x = x * (64 // (x.shape[1] // 2)) / 16
        return self.head(F.relu(self.three(x)).mean((2, 3)))


def test_a_failure_of_any_kind_leaves_the_group_out():
    network = Adapted(_Wide(), torch.rand(2, 3, 6, 6))
    assert [group.producer for group in network.groups] == ["net.three"]
    assert {each.path for each in network.left_out} >= {"one", "two"}


class _OneByOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        assert len(x) == 1, "one at a time"
        return self.two(F.relu(self.one(x)))


def test_a_network_for_one_sample_is_adapted():
    assert Adapted(_OneByOne(), torch.rand(1, 3)).widths == (8,)


class _Neighbours(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 8), nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor, near: Tensor) -> Tensor:  # (B, N, 4), (N, N)
        return self.head(F.relu(self.b(F.relu(self.a(near @ x)))).mean(1))


def test_an_input_that_is_no_samples_is_not_cut():
    network = Adapted(_Neighbours(), (torch.rand(2, 6, 4), torch.eye(6)))
    with FlopCounterMode(display=False) as counter:
        network((torch.rand(1, 6, 4), torch.eye(6)))
    assert CostModel(network, (torch.rand(2, 6, 4), torch.eye(6))).full.macs == counter.get_total_flops() // 2
    with pytest.raises(UserError, match=r"6 samples do not cost 6 times one.*another number of samples"):
        CostModel(network, (torch.rand(6, 6, 4), torch.eye(6)))


class _Product(nn.Module):
    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ((q @ k.transpose(2, 3)).softmax(3) @ v).transpose(1, 2).flatten(2)


class _TwoAttentions(nn.Module):
    """Two attentions in one forward, the first by a module of its own, as textbooks write it."""

    def __init__(self) -> None:
        super().__init__()
        self.head_dim, self.product = 4, _Product()
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.q2, self.k2, self.v2, self.out2 = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)

    def heads(self, x: Tensor, *layers: nn.Module) -> list[Tensor]:
        return [layer(x).unflatten(2, (-1, self.head_dim)).transpose(1, 2) for layer in layers]

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.out(self.product(*self.heads(x, self.q, self.k, self.v)))
        q, k, v = self.heads(x, self.q2, self.k2, self.v2)
        return (x + self.out2(((q @ k.transpose(2, 3)).softmax(3) @ v).transpose(1, 2).flatten(2))).mean(1)


class _Twice(_TwoAttentions):
    """Both in the forward of one module, whose products are then of two groups."""

    def forward(self, x: Tensor) -> Tensor:
        for layers, out in (((self.q, self.k, self.v), self.out), ((self.q2, self.k2, self.v2), self.out2)):
            q, k, v = self.heads(x, *layers)
            x = x + out(((q @ k.transpose(2, 3)).softmax(3) @ v).transpose(1, 2).flatten(2))
        return x.mean(1)


@pytest.mark.parametrize("cls", [_TwoAttentions, _Twice])
def test_attention_is_counted_wherever_it_is_written(cls: type[nn.Module]):
    torch.manual_seed(0)
    network = Adapted(cls(), torch.rand(2, 5, 8))
    assert network.widths == (2, 3)
    cost = CostModel(network, (5, 8))
    for seed in range(3):
        masks = masks_of(network.widths, seed)
        smaller = slice_network(network.eval(), masks)
        with FlopCounterMode(display=False) as counter:
            smaller(torch.rand(1, 5, 8))
        assert cost([int(mask.sum()) for mask in masks]).macs == counter.get_total_flops() // 2


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_a_lightning_module_is_adapted_also_after_its_training():
    import pytorch_lightning as pl

    class Lit(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

        def training_step(self, batch: Any) -> Tensor:
            return self(batch[0]).square().mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    lit = Lit()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.rand(8, 4)), batch_size=4)
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **quiet)
    trainer.fit(lit, loader)
    network = Adapted(lit, torch.rand(2, 4))
    smaller = slice_network(network, [torch.arange(8) < 3])
    assert lit.trainer is trainer
    assert smaller.net._trainer is None  # type: ignore[union-attr]
    assert "1 group with 8 channels" in str(groups(lit, torch.rand(2, 4)))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_compiled_network_is_refused_and_one_that_compiles_itself_is_not():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(UserError, match="is compiled: adapt the module that it was made of"):
        Adapted(torch.compile(net), torch.rand(2, 4))  # type: ignore[arg-type]
    net.compile()
    network = Adapted(net, torch.rand(2, 4))
    assert slice_network(network, [torch.arange(8) < 3]).net._compiled_call_impl is None  # type: ignore[union-attr]


class _Random(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(F.dropout(F.relu(self.one(x))))


def test_a_network_that_is_random_in_evaluation_is_refused_by_that():
    with pytest.raises(UserError, match=r"is random in evaluation mode.*pass training=self\.training"):
        Adapted(_Random(), torch.rand(2, 4))


class _Dictionary(nn.Module):
    """One dictionary in, one out."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"logits": self.two(F.relu(self.one(batch["x"])))}


def test_dictionaries_in_and_out():
    with pytest.raises(UserError, match="if the network takes one dictionary, give it in a tuple"):
        Adapted(_Dictionary(), {"x": torch.rand(2, 4)})
    network = Adapted(_Dictionary(), ({"x": torch.rand(2, 4)},))
    with_values(network.eval())
    masks, x = masks_of(network.widths, 0), ({"x": torch.rand(3, 4)},)
    assert network(x).shape == (3, 2)
    with torch.no_grad():
        assert_close(masked(network, masks, x), [slice_network(network, masks)(x)])

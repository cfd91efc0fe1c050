"""What other networks do that must be left out, or refused, rather than pruned wrongly."""

import pytest
import torch
import torch.nn.functional as F
from masking import assert_close, masked, masks_of, with_values
from torch import Tensor, nn

from pppl.backbones import Adapted, slice_network
from pppl.gating import GatedNetwork
from pppl.pruning import CostModel
from pppl.system.errors import UserError


class _Conv(nn.Module):
    """Two convolutions with something between them."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 1)
        self.last, self.head = nn.Conv2d(6, 4, 1), nn.Linear(4, 2)

    def between(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.between(F.relu(self.one(x))))
        return self.head(F.relu(self.last(F.relu(x))).mean((2, 3)))


class _Shuffled(_Conv):
    def between(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        return x.view(b, 2, 2, c // 4, h, w).transpose(1, 2).reshape(b, c, h, w)


class _Undefined(_Conv):
    def between(self, x: Tensor) -> Tensor:
        return x / (x - x)


class _ByKeyword(_Conv):
    def forward(self, x: Tensor) -> Tensor:
        x = self.two(input=F.relu(self.one(x)))
        return self.head(F.relu(self.last(F.relu(x))).mean((2, 3)))


class _Folded(_Conv):
    """Time steps `(B, T, 3, H, W)` as samples, before a perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(2, 7), nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)
        return self.down(F.relu(self.up(x)))


class _TimeFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.block = nn.Linear(3, 8), nn.TransformerEncoderLayer(8, 2, 12)
        self.hidden, self.head = nn.Linear(8, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, 3)
        return self.head(F.relu(self.hidden(self.block(self.embed(x.transpose(0, 1))).mean(0))))


class _Auxiliary(_Conv):
    """A second head that reads channels in training mode alone."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:  # type: ignore[override]
        logits = super().forward(x)
        return (logits, self.other(F.relu(self.one(x))).mean((2, 3))) if self.training else logits


class _Branches(_Conv):
    def __init__(self) -> None:
        super().__init__()
        self.rare, self.still = nn.Conv2d(6, 6, 1), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 100:
            return self.rare(x)
        logits = super().forward(x)
        with torch.no_grad():
            self.still(torch.ones(1, 4))
        return logits


def _reasons(network: Adapted) -> dict[str, str]:
    return {each.path: each.reason for each in network.left_out}


@pytest.mark.parametrize(
    ("cls", "shape", "path", "reason"),
    [
        (_Shuffled, (2, 3, 6, 6), "one", "masking them does not equal removing them"),
        (_ByKeyword, (2, 3, 6, 6), "one", "two is called with its input by keyword"),
        (_Folded, (2, 3, 3, 6, 6), "one", "one is not given one row for each sample"),
        (_TimeFirst, (5, 5, 3), "block.linear1", "is not given one row for each sample"),
        (_Auxiliary, (2, 3, 6, 6), "one", "the network does not run with fewer of these channels"),
        (_Branches, (2, 3, 6, 6), "rare", "a pass with the example does not call it"),
        (_Branches, (2, 3, 6, 6), "still", "gradients do not lead to it"),
    ],
)
def test_channels_that_cannot_be_removed_stay(cls: type[nn.Module], shape: tuple[int, ...], path: str, reason: str):
    torch.manual_seed(0)
    network = Adapted(cls(), torch.rand(shape))
    assert reason in _reasons(network).get(path, "")
    with_values(network.eval())
    x = torch.rand(4, *shape[1:])
    for seed in range(4):
        masks = masks_of(network.widths, seed)
        smaller = slice_network(network, masks)
        with torch.no_grad():
            assert_close(masked(network, masks, x), [smaller(x)])
        smaller.train()(x)
    assert GatedNetwork(network).train()(x).gate_logits


def test_several_groups_can_be_wrong_at_once():
    """One by itself, and two that are wrong only together."""

    class Odd(_Conv):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
            self.left2, self.right2 = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, 1)

        def between(self, x: Tensor) -> Tensor:
            return x.flip(1)

        def forward(self, x: Tensor) -> Tensor:
            left, right = F.relu(self.left(x)), F.relu(self.right(x))
            fewer = left.shape[1] < 4 and right.shape[1] < 4
            both = self.left2(left).mean((2, 3)) + self.right2(right).mean((2, 3))
            return super().forward(x) + both * (2 if fewer else 1)

    torch.manual_seed(0)
    network = Adapted(Odd(), torch.rand(2, 3, 6, 6))
    assert [group.producer for group in network.groups] == ["net.left", "net.two", "net.last"]
    assert set(_reasons(network)) >= {"one", "right"}


@pytest.mark.parametrize(
    ("make", "example", "sentence"),
    [
        (_Undefined, torch.rand(2, 3, 6, 6), "returns infinite or undefined numbers for the example"),
        (lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.rand(4), "is one sample"),
        (
            lambda: nn.Sequential(nn.Linear(4, 4), torch.jit.script(nn.Linear(4, 4)), nn.Linear(4, 2)),
            torch.rand(2, 4),
            "'1' is scripted",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_other_networks_are_refused_in_one_line(make, example: Tensor, sentence: str):
    with pytest.raises(UserError) as error:
        Adapted(make(), example)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_outputs_may_be_truth_values_or_empty():
    class Both(_Conv):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
            logits = super().forward(x)
            return logits, logits > 0, logits[:, :0]

    assert len(Adapted(Both(), torch.rand(2, 3, 6, 6)).groups) == 3


def test_a_users_own_package_may_be_called_quantized():
    cls = type("Net", (_Conv,), {"__module__": "quantized_study.nets"})
    assert Adapted(cls(), torch.rand(2, 3, 6, 6)).groups


class _Beside(nn.Module):
    """Attention and two perceptrons in one forward, all of whose widths halve alike."""

    def __init__(self, num_heads: int = 4) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(16, 64), nn.Linear(64, 16)
        self.up2, self.down2 = nn.Linear(16, 20), nn.Linear(20, 16)
        self.query, self.key, self.value = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.out, self.num_heads = nn.Linear(16, 16), num_heads

    def forward(self, x: Tensor) -> Tensor:  # (B, N, 16)
        x = x + self.down(F.relu(self.up(x)))
        x = x + self.down2(F.relu(self.up2(x)))
        q, k, v = (
            layer(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        return (x + self.out(((q @ k.transpose(2, 3)).softmax(3) @ v).transpose(1, 2).flatten(2))).mean(1)


@pytest.mark.parametrize("widths", [(64, 20, 1), (1, 20, 4), (10, 3, 2), (64, 20, 4)])
def test_attention_costs_as_much_as_its_own_heads(widths: tuple[int, ...]):
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    network = Adapted(_Beside(), torch.rand(2, 6, 16)).eval()
    assert network.widths == (64, 20, 4)
    smaller = slice_network(network, [torch.arange(most) < w for most, w in zip(network.widths, widths, strict=True)])
    with FlopCounterMode(display=False) as counter:
        smaller(torch.rand(1, 6, 16))
    assert CostModel(network, (6, 16))(widths).macs == counter.get_total_flops() // 2


class _TiedBeside(nn.Module):
    """Two layers that share a weight, which stay, before channels that can go."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 9)
        self.two.weight, self.head = self.one.weight, nn.Linear(9, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.three(F.relu(self.two(F.relu(self.one(x)))))))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_one_sample_of_any_precision_is_enough(dtype: torch.dtype):
    torch.manual_seed(0)
    network = Adapted(_TiedBeside().to(dtype), torch.rand(1, 6, dtype=dtype))
    assert [group.producer for group in network.groups] == ["net.three"]
    assert "shares its weight with another layer" in _reasons(network)["two"]
    masks = [torch.arange(9) % 2 == 0]
    assert slice_network(network, masks)(torch.rand(2, 6, dtype=dtype)).dtype == dtype

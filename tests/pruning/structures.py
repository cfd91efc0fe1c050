"""Small networks, each with a structure that no registered backbone has; what costs and surgery are held to."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pppl.backbones import Backbone, ChannelGroup, ShapeSpec


class Net(Backbone):
    """Modules by name, the groups, and what they compute together."""

    def __init__(
        self, modules: dict[str, nn.Module], groups: Sequence[ChannelGroup], forward: Callable[["Net", Tensor], Tensor]
    ):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.groups, self._compute = tuple(groups), forward
        widths = [self._width(group.producer) for group in groups]
        self.spec = ShapeSpec(backbone="net", options={"widths": tuple(widths), "num_outputs": 5})

    def forward(self, x: Tensor) -> Tensor:
        return self._compute(self, x)

    def _width(self, path: str) -> int:
        layer = self.get_submodule(path)
        return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]


def group(producer: str, output: str, *consumers: str, followers: Sequence[str] = ()) -> ChannelGroup:
    return ChannelGroup(producer=producer, output=output, followers=tuple(followers), consumers=consumers)


def _mean(x: Tensor) -> Tensor:
    return x.flatten(2).mean(2)


def grouped() -> tuple[Net, tuple[int, ...]]:
    """A grouped convolution beside the group's layers, and a dilated one with padding by reflection."""
    modules = {
        "a": nn.Conv2d(3, 16, 3, padding=2, dilation=2, padding_mode="reflect"),
        "norm": nn.BatchNorm2d(16),
        "act": nn.ReLU(),
        "b": nn.Conv2d(16, 8, 3, stride=2, padding=1, padding_mode="circular"),
        "c": nn.Conv2d(8, 12, 3, groups=4),
        "head": nn.Linear(12, 5),
    }
    groups = [group("a", "act", "b", followers=["norm"])]
    return Net(modules, groups, lambda n, x: n.head(_mean(n.c(n.b(n.act(n.norm(n.a(x)))))))), (3, 9, 10)


def tokens() -> tuple[Net, tuple[int, ...]]:
    """Patches as tokens, and a perceptron of two linear layers over them."""
    modules = {
        "patch": nn.Conv2d(3, 12, 4, 4),
        "norm": nn.LayerNorm(12),
        "up": nn.Linear(12, 20),
        "act": nn.GELU(),
        "down": nn.Linear(20, 12, bias=False),
        "head": nn.Linear(12, 5),
    }

    def forward(n: Net, x: Tensor) -> Tensor:
        t = n.patch(x).flatten(2).transpose(1, 2)
        return n.head((t + n.down(n.act(n.up(n.norm(t))))).mean(1))

    return Net(modules, [group("up", "act", "down")], forward), (3, 16, 12)


def attention() -> tuple[Net, tuple[int, ...]]:
    """Attention, whose products of activations are counted, before a perceptron."""
    modules = {
        "embed": nn.Linear(6, 8),
        "mix": nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True),
        "up": nn.Linear(8, 14),
        "act": nn.ReLU(),
        "down": nn.Linear(14, 5),
    }

    def forward(n: Net, x: Tensor) -> Tensor:
        return n.down(n.act(n.up(n.mix(n.embed(x.transpose(1, 2)))))).mean(1)

    return Net(modules, [group("up", "act", "down")], forward), (6, 11)


def volume() -> tuple[Net, tuple[int, ...]]:
    modules = {
        "a": nn.Conv3d(2, 6, 3, padding=1),
        "act": nn.PReLU(6),
        "deep": nn.Conv3d(6, 6, 3, padding=1, groups=6),
        "b": nn.Conv3d(6, 4, 1),
        "head": nn.Linear(4, 5),
    }
    groups = [group("a", "deep", "b", followers=["act", "deep"])]
    return Net(modules, groups, lambda n, x: n.head(_mean(n.b(n.deep(n.act(n.a(x))))))), (2, 4, 5, 6)


def transposed() -> tuple[Net, tuple[int, ...]]:
    """An encoder and a decoder, both groups' channels in a transposed convolution."""
    modules = {
        "down": nn.Conv1d(3, 8, 4, 2, 1),
        "act": nn.ReLU(),
        "up": nn.ConvTranspose1d(8, 6, 4, 2, 1, output_padding=1),
        "norm": nn.InstanceNorm1d(6, affine=True, track_running_stats=True),
        "act2": nn.ReLU(),
        "out": nn.ConvTranspose1d(6, 4, 3),
        "head": nn.Linear(4, 5),
    }
    groups = [group("down", "act", "up"), group("up", "act2", "out", followers=["norm"])]
    return Net(modules, groups, lambda n, x: n.head(_mean(n.out(n.act2(n.norm(n.up(n.act(n.down(x)))))))).relu()), (
        3,
        12,
    )


def excitation() -> tuple[Net, tuple[int, ...]]:
    """Squeeze and excitation around a group's channels, which stay; those inside are a group."""
    modules = {
        "a": nn.Conv2d(3, 8, 3, padding=1),
        "act": nn.ReLU(),
        "squeeze": nn.Conv2d(8, 4, 1),
        "act2": nn.ReLU(),
        "excite": nn.Conv2d(4, 8, 1),
        "head": nn.Linear(8, 5),
    }

    def forward(n: Net, x: Tensor) -> Tensor:
        x = n.act(n.a(x))
        x = x * n.excite(n.act2(n.squeeze(x.mean((2, 3), keepdim=True)))).sigmoid()
        return n.head(x.mean((2, 3)))

    return Net(modules, [group("squeeze", "act2", "excite")], forward), (3, 8, 8)


def shared() -> tuple[Net, tuple[int, ...]]:
    """Layers that are called several times in a pass, one of them under two names, and one that is never called."""
    again, tied = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 8)
    modules = {
        "stem": nn.Conv2d(3, 8, 3),
        "one": again,
        "a": nn.Conv2d(8, 6, 3, padding=1),
        "act": nn.ReLU(),
        "b": nn.Conv2d(6, 8, 1),
        "two": again,
        "first": tied,
        "second": nn.Linear(8, 8),
        "unused": nn.Linear(3, 3),
        "head": nn.Linear(8, 5),
    }
    modules["second"].weight = tied.weight  # type: ignore[assignment]

    def forward(n: Net, x: Tensor) -> Tensor:
        x = n.two(n.one(n.stem(x)).relu()).relu()
        for _ in range(3):
            x = x + n.b(n.act(n.a(x)))
        return n.head(n.second(n.first(_mean(x))))

    return Net(modules, [group("a", "act", "b")], forward), (3, 7, 7)


def recurrent() -> tuple[Net, tuple[int, ...]]:
    modules = {
        "a": nn.Conv1d(3, 8, 3, padding=1),
        "act": nn.ReLU(),
        "b": nn.Conv1d(8, 4, 1),
        "rnn": nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True),
        "cell": nn.GRUCell(12, 7),
        "head": nn.Linear(7, 5),
    }

    def forward(n: Net, x: Tensor) -> Tensor:
        return n.head(n.cell(n.rnn(n.b(n.act(n.a(x))).transpose(1, 2))[0][:, -1]))

    return Net(modules, [group("a", "act", "b")], forward), (3, 10)


def functional() -> tuple[Net, tuple[int, ...]]:
    """Convolutions, products and a vector outside of any layer."""
    modules = {"a": nn.Conv2d(2, 6, 3), "act": nn.ReLU(), "b": nn.Conv2d(6, 4, 1), "head": nn.Linear(4, 5)}

    def forward(n: Net, x: Tensor) -> Tensor:
        x = F.conv2d(x, torch.ones(2, 1, 3, 3), padding=1, groups=2)
        x = n.b(n.act(n.a(x))).flatten(2)
        mixed = x @ torch.softmax(x.transpose(1, 2) @ x, -1)
        return n.head(mixed @ torch.ones(mixed.shape[2]))

    return Net(modules, [group("a", "act", "b")], forward), (2, 6, 7)


STRUCTURES = {
    f.__name__: f for f in (grouped, tokens, attention, volume, transposed, excitation, shared, recurrent, functional)
}

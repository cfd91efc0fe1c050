"""Networks as users write them, each with a structure that makes channels depend on one another."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Grouped(nn.Module):
    """Convolutions with groups, of which only whole groups can go, and a depthwise one with two outputs per channel."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(in_channels, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.grouped, self.mix = nn.Conv2d(16, 24, 3, groups=4), nn.Conv2d(24, 10, 1)
        self.deep, self.last = nn.Conv2d(10, 20, 3, groups=10), nn.Conv2d(20, 8, 1)
        self.norms, self.head = nn.GroupNorm(4, 8), nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(F.silu(self.grouped(F.relu(self.norm(self.stem(x))))))
        return self.head(F.relu(self.norms(self.last(F.gelu(self.deep(x))))).mean((2, 3)))


class Squeezed(nn.Module):
    """Squeeze-and-excitation with a hard sigmoid, around channels that both its input and its scale follow."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.stem, self.norm, self.act = nn.Conv2d(in_channels, 12, 3), nn.BatchNorm2d(12), nn.Hardswish()
        self.squeeze, self.excite = nn.Linear(12, 6), nn.Linear(6, 12)
        self.last, self.head = nn.Conv2d(12, 8, 1), nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.stem(x)))
        scale = F.hardsigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))
        return self.head(F.relu(self.last(x * scale[..., None, None])).mean((2, 3)))


class Gated(nn.Module):
    """Gated linear units: halves of one convolution, and two linear layers beside each other."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.halves, self.next = nn.Conv2d(in_channels, 16, 3), nn.Conv2d(8, 6, 1)
        self.gate, self.up, self.down = nn.Linear(6, 10), nn.Linear(6, 10), nn.Linear(10, 6)
        self.head = nn.Linear(6, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.next(F.glu(self.halves(x), 1)).flatten(2).transpose(1, 2)  # (B, N, C)
        return self.head((x + self.down(F.silu(self.gate(x)) * self.up(x))).mean(1))


class Dense(nn.Module):
    """Channels that are read beside those of other layers, and an image that is flattened."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.one, self.act = nn.Conv2d(in_channels, 8, 3, padding=1), nn.ReLU()
        self.two, self.act2 = nn.Conv2d(8, 6, 3, padding=1), nn.ReLU()
        self.norm, self.last = nn.BatchNorm2d(14), nn.Conv2d(14, 4, 1)
        self.pool, self.head = nn.AdaptiveAvgPool2d(2), nn.Linear(16, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        one = self.act(self.one(x))
        both = torch.cat([one, self.act2(self.two(one))], 1)
        return self.head(self.pool(F.relu(self.last(F.relu(self.norm(both))))).flatten(1))


class Parts(nn.Module):
    """Channels in parts, each of which is convolved with the one before it (Gao et al. 2019, Res2Net)."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(in_channels, 12, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.last, self.head = nn.Conv2d(12, 8, 1), nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = F.relu(self.stem(x)).chunk(3, 1)
        one = F.relu(self.one(second))
        two = F.relu(self.two(one + third))
        return self.head(F.relu(self.last(torch.cat([first, one, two], 1))).mean((2, 3)))


class Shared(nn.Module):
    """A layer that is called twice, whose channels stay, and a transposed convolution."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.stem, self.again = nn.Conv2d(in_channels, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.up, self.last = nn.ConvTranspose2d(8, 6, 2, stride=2), nn.Conv2d(6, 4, 3)
        self.head = nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.again(F.relu(self.again(F.relu(self.stem(x))))))
        return self.head(F.relu(self.last(F.relu(self.up(x)))).mean((2, 3)))


class Recurrent(nn.Module):
    """Convolutions before a recurrent layer, which stays."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.one, self.two = nn.Conv1d(in_channels, 12, 3), nn.Conv1d(12, 8, 3)
        self.rnn, self.head = nn.GRU(8, 6, batch_first=True), nn.Linear(6, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(F.relu(self.one(x))).transpose(1, 2)
        return self.head(self.rnn(x)[0][:, -1])


class Attention(nn.Module):
    """Attention of one's own, by the number of heads, and PyTorch's, whose heads stay."""

    def __init__(self, num_classes: int, in_channels: int, num_heads: int = 4):
        super().__init__()
        self.embed, self.num_heads = nn.Linear(in_channels, 16), num_heads
        self.query, self.key, self.value = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.out, self.norm = nn.Linear(16, 16), nn.LayerNorm(16)
        self.block = nn.TransformerEncoderLayer(16, 2, 24, batch_first=True)
        self.head = nn.Linear(16, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.transpose(1, 2))  # (B, N, E)
        q, k, v = (
            layer(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.head(self.block(self.norm(x + self.out(seen))).mean(1))


class TwoInputs(nn.Module):
    """An image and a vector as inputs, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.vector = nn.Conv2d(3, 8, 3), nn.Linear(5, 8)
        self.both, self.classes, self.place = nn.Linear(16, 12), nn.Linear(12, 4), nn.Linear(12, 2)

    def forward(self, image: Tensor, vector: Tensor) -> dict[str, Tensor]:
        seen = torch.cat([F.relu(self.image(image)).mean((2, 3)), F.relu(self.vector(vector))], 1)
        hidden = F.relu(self.both(seen))
        return {"classes": self.classes(hidden), "place": self.place(hidden)}


OWN = {
    "grouped convolutions": (Grouped, (3, 12, 12)),
    "squeeze-and-excitation": (Squeezed, (3, 12, 12)),
    "gated linear units": (Gated, (3, 12, 12)),
    "concatenation, flattening": (Dense, (3, 12, 12)),
    "parts of a layer": (Parts, (3, 12, 12)),
    "shared layers": (Shared, (3, 12, 12)),
    "recurrent layer": (Recurrent, (3, 20)),
    "attention": (Attention, (6, 20)),
}

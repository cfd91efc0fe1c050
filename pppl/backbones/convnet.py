"""A small stack of convolutions for images and series."""

from collections.abc import Sequence

from torch import Tensor, nn

from .backbone import Backbone
from .groups import ChannelGroup
from .registry import register_backbone


@register_backbone("convnet")
class ConvNet(Backbone):
    """A stack of 3-tap convolutions with batch normalization and ReLU, then average pooling and a linear head.

    Each of the first two layers ends with max-pooling that halves the resolution.

    **Arguments:**

    - `in_channels`, `num_outputs`: channels and classes of the data.
    - `dims`: 1 for series `(B, C, T)`, 2 for images `(B, C, H, W)`.
    - `widths`: output channels of each layer; four layers of 64 by default.

    >>> ConvNet(in_channels=3, num_outputs=10, widths=(16, 32)).head
    Linear(in_features=32, out_features=10, bias=True)
    """

    dims = (1, 2)

    def __init__(self, *, in_channels: int, num_outputs: int, dims: int = 2, widths: Sequence[int] | None = None):
        super().__init__()
        widths = _WIDTHS if widths is None else widths
        if dims not in _PARTS or not widths or min(widths) < 1:
            raise ValueError("dims must be 1 or 2, and widths one or more numbers of 1 or more")
        self.layers = nn.ModuleList()
        channels = in_channels
        for index, width in enumerate(widths):
            self.layers.append(_Layer(channels, width, dims=dims, halve=index in _HALVED_AFTER))
            channels = width
        self.head = nn.Linear(channels, num_outputs)
        self.groups = tuple(
            ChannelGroup(
                producer=f"layers.{index}.conv",
                # The mask comes after pooling: zeros and ones commute with it, and fewer positions are multiplied.
                output=f"layers.{index}.pool",
                followers=(f"layers.{index}.norm",),
                consumers=(f"layers.{index + 1}.conv" if index + 1 < len(widths) else "head",),
            )
            for index in range(len(widths))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, `(B, num_outputs)`, for samples `(B, C, ...)`."""
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean(tuple(range(2, x.ndim))))


class _Layer(nn.Module):
    """Convolution, batch normalization, ReLU and, if `halve`, max-pooling."""

    def __init__(self, in_channels: int, width: int, *, dims: int, halve: bool):
        super().__init__()
        convolution, normalization, pooling = _PARTS[dims]
        self.conv = convolution(in_channels, width, 3, padding=1, bias=False)
        self.norm = normalization(width)
        self.act = nn.ReLU()
        self.pool = pooling(2, ceil_mode=True) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.act(self.norm(self.conv(x))))


_WIDTHS = (64, 64, 64, 64)
_HALVED_AFTER = (0, 1)
_PARTS = {
    1: (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d),
    2: (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d),
}

"""DS-CNN: depthwise separable convolutions for keyword spotting.

Zhang et al. 2018, "Hello Edge: keyword spotting on microcontrollers". The sizes follow their code,
ARM-software/ML-KWS-for-MCU.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from .backbone import Backbone, chosen_widths
from .groups import ChannelGroup
from .registry import register_backbone

# By name: number of separable layers, and strides (T, F) of the first convolution and the first separable layer.
_FORMS = {
    "ds_cnn_s": (4, (2, 2), (1, 1)),
    "ds_cnn_m": (4, (2, 1), (2, 2)),
    "ds_cnn_l": (5, (2, 1), (2, 2)),
}


class DSCNN(Backbone):
    """DS-CNN for spectrograms: a 10x4 convolution, then pairs of a 3x3 depthwise and a 1x1 convolution.

    Every channel is in a group: the first convolution and each 1x1 convolution have one each. A group's mask comes
    after the depthwise convolution that follows, since the batch normalization there would shift a masked channel.

    For 49 x 10 and 12 classes the paper states 38.6 KB and 5.4 MOps (S), 189.2 KB and 19.8 MOps (M), 497.6 KB and
    56.9 MOps (L). The memory holds 8-bit weights with folded normalization (23 K, 135 K and 411 K) and the two largest
    activations. The operations are two per MAC (2.7, 9.8 and 28.3 MMACs) and one per bias added. With one channel left
    in every group, S takes 0.4 % of its MACs.

    **Arguments:**

    - `name`: `ds_cnn_s`, `ds_cnn_m` or `ds_cnn_l`.
    - `in_channels`, `num_outputs`: channels and classes of the data.
    - `width`: channels of every layer; 64, 172 and 276 in the paper.
    - `widths`: channels of each group; None for all.
    """

    def __init__(
        self,
        name: str,
        *,
        in_channels: int = 1,
        num_outputs: int = 12,
        width: int = 64,
        widths: Sequence[int] | None = None,
    ):
        super().__init__()
        layers, stride, first_stride = _FORMS[name]
        if width < 1:
            raise ValueError("width must be 1 or more")
        chosen = chosen_widths(widths, [width] * (layers + 1))
        # This is TensorFlow's "same" padding, which is uneven for even kernels.
        self.pad = nn.ZeroPad2d((1, 2, 4, 5))
        self.conv = nn.Conv2d(in_channels, chosen[0], (10, 4), stride, bias=False)
        self.norm = nn.BatchNorm2d(chosen[0])
        self.act = nn.ReLU()
        self.layers = nn.ModuleList(
            _Separable(before, out, stride=first_stride if index == 0 else (1, 1))
            for index, (before, out) in enumerate(pairwise(chosen))
        )
        self.head = nn.Linear(chosen[-1], num_outputs)
        self.groups = tuple(self._group(index) for index in range(layers + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, `(B, num_outputs)`, for spectrograms `(B, C, T, F)`."""
        x = self.act(self.norm(self.conv(self.pad(x))))
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean((2, 3)))

    def _group(self, index: int) -> ChannelGroup:
        """Return the group of the first convolution (`index` 0) or of the separable layer `index - 1`.

        The group extends through the depthwise convolution of the next layer.
        """
        producer, norm = (f"layers.{index - 1}.pointwise", f"layers.{index - 1}.norm2") if index else ("conv", "norm")
        if index == len(self.layers):
            output = f"layers.{index - 1}.act2"
            return ChannelGroup(producer=producer, output=output, followers=(norm,), consumers=("head",))
        after = f"layers.{index}"
        return ChannelGroup(
            producer=producer,
            output=f"{after}.act1",
            followers=(norm, f"{after}.depthwise", f"{after}.norm1"),
            consumers=(f"{after}.pointwise",),
        )


class _Separable(nn.Module):
    """A separable layer: a 3x3 depthwise and a 1x1 convolution, each with batch normalization and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: tuple[int, int]):
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False)
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.act1 = nn.ReLU()
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.act2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.norm1(self.depthwise(x)))
        return self.act2(self.norm2(self.pointwise(x)))


for _name, _width in {"ds_cnn_s": 64, "ds_cnn_m": 172, "ds_cnn_l": 276}.items():
    register_backbone(_name)(partial(DSCNN, _name, width=_width))

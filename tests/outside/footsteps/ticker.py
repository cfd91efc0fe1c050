"""`ticker`: convolutions over time, whose channels can be removed."""

from itertools import pairwise

from torch import nn

from pppl import Backbone, ChannelGroup, register_backbone


@register_backbone("ticker")
class Ticker(Backbone):
    """Convolutions with batch normalization and ReLU, then the mean over time and a linear head.

    - `widths`: channels of each convolution.
    - `taps`: length of each filter.
    """

    dims = (1,)

    def __init__(self, *, in_channels, num_outputs, taps=5, widths=(16, 16)):
        super().__init__()
        layers = [
            nn.Sequential(nn.Conv1d(before, width, taps, padding=taps // 2), nn.BatchNorm1d(width), nn.ReLU())
            for before, width in pairwise((in_channels, *widths))
        ]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], num_outputs)
        readers = [*(f"layers.{at}.0" for at in range(1, len(widths))), "head"]
        self.groups = tuple(
            ChannelGroup(
                producer=f"layers.{at}.0", output=f"layers.{at}.2", followers=(f"layers.{at}.1",), consumers=(reader,)
            )
            for at, reader in enumerate(readers)
        )

    def forward(self, x):
        """Return the outputs `(B, num_outputs)` of series `(B, C, T)`."""
        return self.head(self.layers(x).mean(2))

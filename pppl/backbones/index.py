"""Which channels of a stream a smaller branch reads and writes."""

import torch
from torch import Tensor, nn


class ChannelIndex(nn.Module):
    """Holds the places of the channels that are left of `channels`, so that pruning a branch leaves its stream whole.

    A follower of its group: what surgery keeps of `index` is where the kept channels belong. With all channels left
    every method is a plain tensor operation.

    **Arguments:**

    - `channels`: of the stream.
    - `kept`: channels that are left; the first ones, until a state dict tells which.
    """

    index: Tensor

    def __init__(self, channels: int, kept: int):
        super().__init__()
        self.channels = channels
        self.register_buffer("index", torch.arange(kept))

    def select(self, stream: Tensor) -> Tensor:
        """`(B, C, ...)` to the kept channels, `(B, K, ...)`."""
        return stream if self._whole else stream.index_select(1, self.index)

    def add(self, stream: Tensor, branch: Tensor) -> Tensor:
        """The stream, `(B, C, ...)`, plus the branch, `(B, K, ...)`, each channel in its place."""
        return stream + branch if self._whole else stream.index_add(1, self.index, branch)

    def spread(self, branch: Tensor) -> Tensor:
        """`(B, K, ...)` to `(B, C, ...)`, zero where a channel was removed."""
        if self._whole:
            return branch
        zeros = branch.new_zeros(branch.shape[0], self.channels, *branch.shape[2:])
        return zeros.index_copy(1, self.index, branch)

    def is_possible(self) -> bool:
        """Whether the kept channels are there, each once and in order."""
        steps = self.index.diff()
        return bool((steps > 0).all() and self.index[0] >= 0 and self.index[-1] < self.channels)

    def extra_repr(self) -> str:
        return f"{len(self.index)} of {self.channels}"

    @property
    def _whole(self) -> bool:
        return len(self.index) == self.channels

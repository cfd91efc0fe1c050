"""The index of the channels of a stream that a pruned branch reads or writes."""

import torch
from torch import Tensor, nn


class ChannelIndex(nn.Module):
    """The positions, in a stream of `channels` channels, of the channels that are left in a branch.

    It lets a branch lose channels while its stream stays whole. It is a follower of the branch's group: surgery slices
    `index` like a parameter. As long as all channels are left, every method is a plain tensor operation.

    **Arguments:**

    - `channels`: number of channels of the stream.
    - `kept`: number of channels that are left. They are the first ones until surgery or a state dict sets others.

    >>> ChannelIndex(4, 2).spread(torch.ones(1, 2))
    tensor([[1., 1., 0., 0.]])
    """

    index: Tensor

    def __init__(self, channels: int, kept: int):
        super().__init__()
        self.channels = channels
        self.register_buffer("index", torch.arange(kept))

    def select(self, stream: Tensor) -> Tensor:
        """Return the kept channels, `(B, K, ...)`, of the stream, `(B, C, ...)`."""
        return stream if self._whole else stream.index_select(1, self.index)

    def add(self, stream: Tensor, branch: Tensor) -> Tensor:
        """Return the stream, `(B, C, ...)`, plus the branch, `(B, K, ...)`, with each channel added at its position."""
        return stream + branch if self._whole else stream.index_add(1, self.index, branch)

    def spread(self, branch: Tensor) -> Tensor:
        """Return the branch, `(B, K, ...)`, as `(B, C, ...)`, with zeros for the removed channels."""
        if self._whole:
            return branch
        zeros = branch.new_zeros(branch.shape[0], self.channels, *branch.shape[2:])
        return zeros.index_copy(1, self.index, branch)

    def is_possible(self) -> bool:
        """Return whether the kept channels exist in the stream, each once and in order."""
        steps = self.index.diff()
        return bool((steps > 0).all() and self.index[0] >= 0 and self.index[-1] < self.channels)

    def extra_repr(self) -> str:
        """Return the arguments for the module's `repr`."""
        return f"{len(self.index)} of {self.channels}"

    @property
    def _whole(self) -> bool:
        return len(self.index) == self.channels

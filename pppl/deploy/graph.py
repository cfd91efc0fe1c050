"""What is exported: preprocessing and network as one module."""

import copy

import torch
from torch import Tensor, nn

from ..backbones import Backbone, PaddedSubsample
from ..data.preprocessing import Preprocessing
from ..system.errors import UserError


def _for_engines(network: Backbone) -> Backbone:
    """A copy in evaluation mode, without gradients, in which shortcuts are what engines are fast at."""
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    for path, module in network.named_modules():
        if isinstance(module, PaddedSubsample):
            copied.set_submodule(path, module.in_blocks())
    return copied


class Deployed(nn.Module):
    """A network that takes what a device has, in evaluation mode, without gradients.

    **Arguments:**

    - `raw_audio`: whether it takes waveforms `(B, samples)` in [-1, 1] at the rate of the preprocessing; else physical
      values, `(B, C, ...)`.

    Raises `UserError` where raw audio is asked of a network that does not hear.
    """

    gain: Tensor
    bias: Tensor
    shift: Tensor | None

    def __init__(self, network: Backbone, preprocessing: Preprocessing, *, raw_audio: bool = False):
        super().__init__()
        if raw_audio and preprocessing.log_mel is None:
            raise UserError(f"no raw audio: this network takes arrays of shape {preprocessing.shape}, not recordings")
        self.network, self.preprocessing = _for_engines(network), preprocessing
        self.log_mel = preprocessing.log_mel if raw_audio else None
        if self.log_mel is not None:
            self.log_mel(torch.zeros(1, self.log_mel.samples))  # makes its tables now, not while it is traced
        each = (-1, *(1,) * (len(preprocessing.shape) - 1))
        self.register_buffer("gain", torch.tensor(preprocessing.gain).view(each))
        self.register_buffer("bias", torch.tensor(preprocessing.bias).view(each))
        self.register_buffer("shift", torch.tensor(preprocessing.shift).view(each) if preprocessing.shift else None)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self.preprocessing.shape if self.log_mel is None else (self.log_mel.samples,)

    @property
    def input_name(self) -> str:
        return "values" if self.log_mel is None else "audio"

    def forward(self, x: Tensor) -> Tensor:
        """Waveforms `(B, samples)` or values `(B, C, ...)` to logits, `(B, K)`."""
        # In double, since near silence a logarithm blows up what engines round differently.
        values = x if self.log_mel is None else self.log_mel(x.double()).to(x.dtype)
        if self.shift is not None:
            values = values - self.shift
        return self.network(torch.addcmul(self.bias, values, self.gain))

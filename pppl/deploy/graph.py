"""The module that is exported: preprocessing and network in one."""

import copy

import torch
from torch import Tensor, nn

from ..backbones import Backbone, PaddedSubsample
from ..data.preprocessing import Preprocessing
from ..system.errors import UserError


def _for_engines(network: Backbone) -> Backbone:
    """Copy a network in evaluation mode, without gradients, and with shortcuts in a form that engines run fast."""
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    for path, module in network.named_modules():
        if isinstance(module, PaddedSubsample):
            copied.set_submodule(path, module.in_blocks())
    return copied


class Deployed(nn.Module):
    """A network with its preprocessing, which takes the values that a device has.

    It is in evaluation mode, without gradients.

    >>> from pppl.backbones import build, spec_for
    >>> network = build(spec_for("convnet", {}, (1, 8, 8), 2))
    >>> digits = Preprocessing(classes=("3", "8"), shape=(1, 8, 8), gain=(1.0,), bias=(0.0,))
    >>> Deployed(network, digits)(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 2])

    **Arguments:**

    - `raw_audio`: whether inputs are waveforms `(B, samples)` in [-1, 1] at the sampling rate of the preprocessing. If
      not, inputs are physical values, `(B, C, ...)`.

    Raise `UserError` for raw audio if the network does not take recordings.
    """

    gain: Tensor
    bias: Tensor
    shift: Tensor | None
    output_scale: Tensor | None
    output_offset: Tensor | None

    def __init__(self, network: Backbone, preprocessing: Preprocessing, *, raw_audio: bool = False):
        super().__init__()
        if raw_audio and preprocessing.log_mel is None:
            raise UserError(f"no raw audio: this network takes arrays of shape {preprocessing.shape}, not recordings")
        self.network, self.preprocessing = _for_engines(network), preprocessing
        self.log_mel = preprocessing.log_mel if raw_audio else None
        if self.log_mel is not None:
            self.log_mel(torch.zeros(1, self.log_mel.samples))  # makes its tables before tracing
        each = (-1, *(1,) * (len(preprocessing.shape) - 1))
        self.register_buffer("gain", torch.tensor(preprocessing.gain).view(each))
        self.register_buffer("bias", torch.tensor(preprocessing.bias).view(each))
        self.register_buffer("shift", torch.tensor(preprocessing.shift).view(each) if preprocessing.shift else None)

        for name in ("output_scale", "output_offset"):
            numbers = getattr(preprocessing, name)
            self.register_buffer(name, torch.tensor(numbers) if numbers else None)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input sample."""
        return self.preprocessing.shape if self.log_mel is None else (self.log_mel.samples,)

    @property
    def input_name(self) -> str:
        """Name of the input in exported files: `values` or `audio`."""
        return "values" if self.log_mel is None else "audio"

    def hear(self, x: Tensor) -> Tensor:
        """Return values, `(B, C, ...)`: log-mel features of waveforms `(B, samples)`, or the values given."""
        # Double precision: near silence the logarithm magnifies differences in how engines round.
        return x if self.log_mel is None else self.log_mel(x.double()).to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs, `(B, K)`, of waveforms `(B, samples)` or values `(B, C, ...)`.

        Outputs that are numbers have the unit of the data.
        """
        values = self.hear(x)
        if self.shift is not None:
            values = values - self.shift
        outputs = self.network(torch.addcmul(self.bias, values, self.gain))
        if self.output_scale is None or self.output_offset is None:
            return outputs
        return torch.addcmul(self.output_offset, outputs, self.output_scale)


class LogMelOnly(Deployed):
    """The part of a `Deployed` network for raw audio that turns waveforms into log-mel features, to time it alone.

    ```python
    session = open_onnx_bytes(to_onnx(LogMelOnly(network, preprocessing, raw_audio=True), {}))
    ```
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return log-mel features, `(B, C, ...)`, of waveforms, `(B, samples)`."""
        return self.hear(x)

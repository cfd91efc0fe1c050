"""Log-mel spectrograms of waveforms, the input of keyword-spotting networks. Batched torch, no audio framework."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..system.errors import UserError

_LEVELS = 255  # highest value of a uint8


def hertz_to_mel(hertz: Tensor) -> Tensor:
    """Convert Hz to the HTK mel scale: `2595 log10(1 + f / 700)` (O'Shaughnessy, 1987; The HTK Book).

    >>> round(hertz_to_mel(torch.tensor(1000.0)).item())
    1000
    """
    return 2595.0 * torch.log10(1.0 + hertz / 700.0)


def mel_to_hertz(mel: Tensor) -> Tensor:
    """Convert mel to Hz: the inverse of `hertz_to_mel`."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """The log-mel transform: `ln(mel power + floor)` of the short-time spectrum, without centring or padding.

    The defaults are those of `arabic-speech-commands`. Three details that its description leaves open are our choice: a
    periodic Hann window, as is usual for spectra; `|FFT|^2` without a factor; and filters that are triangles in Hz with
    a peak of 1.

    **Arguments:**

    - `sample_rate`: sample rate of the waveforms, in Hz.
    - `window`, `hop`, `fft`: length of a frame, step from frame to frame and length of the transform, in samples.
    - `bands`, `low`, `high`: number of mel bands, start of the first and end of the last, in Hz.
    - `floor`: added to the power, to keep the logarithm of silence finite.
    - `seconds`: length of a clip.

    Raise `UserError` for parameters that give no spectrogram.

    >>> LogMel(bands=20)(torch.zeros(2, 16000)).shape  # (B, 1, frames, bands)
    torch.Size([2, 1, 49, 20])
    """

    sample_rate: int = 16000
    window: int = 480
    hop: int = 320
    fft: int = 512
    bands: int = 40
    low: float = 60.0
    high: float = 7600.0
    floor: float = 1e-6
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.window <= min(self.fft, self.samples) or self.hop <= 0 or self.floor <= 0:
            raise UserError(
                f"no log-mel with window {self.window}, hop {self.hop}, fft {self.fft}, floor {self.floor} and "
                f"{self.samples} samples: hop and floor must be above 0, the window no longer than the fft and the clip"
            )
        if not 0 <= self.low < self.high <= self.sample_rate / 2:
            raise UserError(
                f"mel bands from {self.low:g} to {self.high:g} Hz do not lie between 0 and half the "
                f"sample rate, {self.sample_rate / 2:g} Hz"
            )
        if self.bands < 1 or not self.filters.any(dim=0).all():
            raise UserError(f"an fft of {self.fft} does not resolve {self.bands} mel bands: use fewer bands")

    @property
    def samples(self) -> int:
        """Number of samples in a clip."""
        return round(self.seconds * self.sample_rate)

    @property
    def frames(self) -> int:
        """Number of frames in a clip: as many whole windows as fit."""
        return (self.samples - self.window) // self.hop + 1

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest value that the log-mel of a waveform in [-1, 1] can have.

        No triangle is above 1, and none reaches 0 Hz or the Nyquist frequency. So a band holds at most half of the
        transform's power, which is `fft * sum((window * waveform)^2)` by Parseval's theorem.
        """
        most = self.fft / 2 * float(self.hann.double().square().sum())
        return math.log(self.floor), math.log(most + self.floor)

    @cached_property
    def hann(self) -> Tensor:
        """Hann window, `(window,)`."""
        return torch.hann_window(self.window, periodic=True)

    @cached_property
    def filters(self) -> Tensor:
        """Mel filter bank, `(fft // 2 + 1, bands)`: triangles with corners at equal distances in mel."""
        low, high = hertz_to_mel(torch.tensor([self.low, self.high], dtype=torch.float64)).tolist()
        corners = mel_to_hertz(torch.linspace(low, high, self.bands + 2, dtype=torch.float64))
        hertz = torch.arange(self.fft // 2 + 1, dtype=torch.float64)[:, None] * self.sample_rate / self.fft
        left, peak, right = corners[:-2], corners[1:-1], corners[2:]
        rising, falling = (hertz - left) / (peak - left), (right - hertz) / (right - peak)
        return torch.minimum(rising, falling).clamp(min=0).float()  # (bins, bands)

    def __call__(self, waveform: Tensor) -> Tensor:
        """Convert waveforms `(B, samples)` in [-1, 1] to log-mels `(B, 1, frames, bands)`, on the same device.

        Raise `UserError` for another shape, or if there are fewer samples than in one window.
        """
        if waveform.ndim != 2 or waveform.shape[1] < self.window:
            raise UserError(
                f"a batch of waveforms is {tuple(waveform.shape)}: give (B, samples), at least {self.window} samples"
            )
        frames = self._frames(waveform)
        spectrum = torch.view_as_real(torch.fft.rfft(frames * self.hann.to(waveform.device), n=self.fft))
        power = spectrum.square().sum(-1)  # (B, frames, bins)
        return torch.log(power @ self.filters.to(power) + self.floor)[:, None]

    def _frames(self, waveform: Tensor) -> Tensor:
        """Cut waveforms `(B, samples)` into frames `(B, frames, window)`.

        The frames are put together from whole hops. An `unfold` would add a table of indices to an exported file, which
        is larger than many networks.
        """
        count, hops = (waveform.shape[1] - self.window) // self.hop + 1, math.ceil(self.window / self.hop)
        needed = (count + hops - 1) * self.hop
        padded = F.pad(waveform, (0, max(0, needed - waveform.shape[1])))[:, :needed]
        parts = padded.unflatten(1, (-1, self.hop))  # (B, frames + hops - 1, hop)
        return torch.cat([parts[:, first : first + count] for first in range(hops)], 2)[..., : self.window]


def resample(waveform: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Resample a waveform `(samples,)`, band-limited by a polyphase filter (`scipy.signal.resample_poly`).

    The result has `ceil(samples * new_rate / rate)` samples, so its length in seconds stays the same.

    >>> len(resample(np.zeros(8000, np.float32), 8000, 16000))
    16000
    """
    if rate == new_rate:
        return waveform
    from scipy.signal import resample_poly

    common = math.gcd(rate, new_rate)
    return resample_poly(waveform, new_rate // common, rate // common)


def fit_length(waveform: np.ndarray, samples: int) -> np.ndarray:
    """Cut or pad a waveform `(T,)` to `samples` samples, keeping its middle; zeros are added on both sides.

    The middle is kept because a recording of one word has silence at both ends. It also leaves room on both sides for
    random shifts in training.

    >>> fit_length(np.array([1, 2, 3]), 5)
    array([0, 1, 2, 3, 0])
    """
    excess = len(waveform) - samples
    if excess >= 0:
        return waveform[excess // 2 : excess // 2 + samples]
    before = -excess // 2
    return np.pad(waveform, (before, -excess - before))


def quantize(log_mel: Tensor, limits: tuple[float, float] | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Quantize a tensor to uint8 `x`, such that it is about `x * scale + offset`.

    The error is at most half of `scale`.

    **Arguments:**

    - `limits`: lowest and highest value, if they are set before the data are known; values outside are clipped. The
      default is the range of the tensor.

    **Returns:** `x`, uint8, and `scale` and `offset`, `(1,)` each.

    >>> x, scale, offset = quantize(torch.tensor([0.0, 2.0, 510.0]))
    >>> x, scale
    (tensor([  0,   1, 255], dtype=torch.uint8), tensor([2.]))
    """
    low, high = limits or (float(log_mel.min()), float(log_mel.max()))
    scale = (high - low) / _LEVELS or 1.0  # a constant has no range
    x = ((log_mel - low) / scale).round().clamp(0, _LEVELS).to(torch.uint8)
    return x, torch.tensor([scale], dtype=torch.float32), torch.tensor([low], dtype=torch.float32)

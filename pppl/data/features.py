"""From a waveform to the log-mel spectrogram that keyword-spotting networks read. Batched torch, no audio framework."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..system.errors import UserError

_LEVELS = 255  # steps of a uint8


def hertz_to_mel(hertz: Tensor) -> Tensor:
    """The HTK mel scale: `2595 log10(1 + f / 700)` (O'Shaughnessy, 1987; The HTK Book)."""
    return 2595.0 * torch.log10(1.0 + hertz / 700.0)


def mel_to_hertz(mel: Tensor) -> Tensor:
    """The inverse of `hertz_to_mel`."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """`ln(mel power + floor)` of the short-time spectrum, without centring or padding.

    The defaults are those of `arabic-speech-commands`. What its description leaves open is our choice: a periodic
    Hann window, as spectra want it; `|FFT|^2` without a factor; and triangles that are linear in Hz with a peak of 1.

    **Arguments:**

    - `sample_rate`: of the waveforms, in Hz.
    - `window`, `hop`, `fft`: length of a frame, step from frame to frame and length of the transform, in samples.
    - `bands`, `low`, `high`: mel bands, and where the first begins and the last ends, in Hz.
    - `floor`: added to the power, so that silence has a logarithm.
    - `seconds`: length of a clip.

    Raises `UserError` for parameters that give no spectrogram.
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
                f"{self.samples} samples: hop and floor are above 0, the window is at most the fft and the clip"
            )
        if not 0 <= self.low < self.high <= self.sample_rate / 2:
            raise UserError(
                f"mel bands from {self.low:g} to {self.high:g} Hz do not lie between 0 and half the "
                f"sample rate, {self.sample_rate / 2:g} Hz"
            )
        if self.bands < 1 or not self.filters.any(dim=0).all():
            raise UserError(f"an fft of {self.fft} does not resolve {self.bands} mel bands: take fewer bands")

    @property
    def samples(self) -> int:
        """Samples of a clip."""
        return round(self.seconds * self.sample_rate)

    @property
    def frames(self) -> int:
        """Frames of a clip: as many whole windows as fit."""
        return (self.samples - self.window) // self.hop + 1

    @property
    def limits(self) -> tuple[float, float]:
        """The values between which the log-mel of every waveform in [-1, 1] lies.

        No triangle is above 1 and none reaches 0 Hz or the Nyquist frequency, so a band holds at most half of the power
        of the transform, which by Parseval is `fft * sum((window * waveform)^2)`.
        """
        most = self.fft / 2 * float(self.hann.double().square().sum())
        return math.log(self.floor), math.log(most + self.floor)

    @cached_property
    def hann(self) -> Tensor:
        """The window, `(window,)`."""
        return torch.hann_window(self.window, periodic=True)

    @cached_property
    def filters(self) -> Tensor:
        """The filter bank, `(fft // 2 + 1, bands)`: triangles whose corners are equally far apart in mel."""
        low, high = hertz_to_mel(torch.tensor([self.low, self.high], dtype=torch.float64)).tolist()
        corners = mel_to_hertz(torch.linspace(low, high, self.bands + 2, dtype=torch.float64))
        hertz = torch.arange(self.fft // 2 + 1, dtype=torch.float64)[:, None] * self.sample_rate / self.fft
        left, peak, right = corners[:-2], corners[1:-1], corners[2:]
        rising, falling = (hertz - left) / (peak - left), (right - hertz) / (right - peak)
        return torch.minimum(rising, falling).clamp(min=0).float()  # (bins, bands)

    def __call__(self, waveform: Tensor) -> Tensor:
        """Waveforms `(B, samples)` in [-1, 1] to log-mels `(B, 1, frames, bands)`, on the waveforms' device.

        Raises `UserError` for another shape, and for less than one window of samples.
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
        """`(B, samples)` to `(B, frames, window)`.

        Whole hops side by side, since an exported `unfold` carries a table of indices, larger than many a network.
        """
        count, hops = (waveform.shape[1] - self.window) // self.hop + 1, math.ceil(self.window / self.hop)
        needed = (count + hops - 1) * self.hop
        padded = F.pad(waveform, (0, max(0, needed - waveform.shape[1])))[:, :needed]
        parts = padded.unflatten(1, (-1, self.hop))  # (B, frames + hops - 1, hop)
        return torch.cat([parts[:, first : first + count] for first in range(hops)], 2)[..., : self.window]


def resample(waveform: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """The waveform `(samples,)` at another rate, band-limited by a polyphase filter (`scipy.signal.resample_poly`).

    The result has `ceil(samples * new_rate / rate)` samples. Between two rates it is the same length in seconds.
    """
    if rate == new_rate:
        return waveform
    from scipy.signal import resample_poly

    common = math.gcd(rate, new_rate)
    return resample_poly(waveform, new_rate // common, rate // common)


def fit_length(waveform: np.ndarray, samples: int) -> np.ndarray:
    """The middle `samples` samples of a waveform `(T,)`; a shorter one is put in the middle of zeros.

    In the middle, since a recording of one word has its silence at both ends, and so that a shift in training has
    room on both sides.
    """
    excess = len(waveform) - samples
    if excess >= 0:
        return waveform[excess // 2 : excess // 2 + samples]
    before = -excess // 2
    return np.pad(waveform, (before, -excess - before))


def quantize(log_mel: Tensor, limits: tuple[float, float] | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """A tensor as uint8, with the `scale` and `offset`, `(1,)` each, such that it is `x * scale + offset` again.

    Values are off by half of `scale` at most.

    **Arguments:**

    - `limits`: lowest and highest value, where they must be known before the data are; values outside are clipped. By
      default those of the tensor.
    """
    low, high = limits or (float(log_mel.min()), float(log_mel.max()))
    scale = (high - low) / _LEVELS or 1.0  # a constant has no range
    x = ((log_mel - low) / scale).round().clamp(0, _LEVELS).to(torch.uint8)
    return x, torch.tensor([scale], dtype=torch.float32), torch.tensor([low], dtype=torch.float32)

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from pppl.data.features import LogMel, fit_length, hertz_to_mel, mel_to_hertz, quantize, resample
from pppl.system.errors import UserError

FEATURES = LogMel()


def _tone(hertz: float, rate: int = 16000, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def _noise(batch: int = 3, samples: int = 16000) -> torch.Tensor:
    return torch.rand(batch, samples, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _triangle(bin_: int, band: int) -> float:
    """The filter bank by the book, one weight at a time."""
    first, last = (2595 * math.log10(1 + f / 700) for f in (60, 7600))
    left, peak, right = (
        700 * (10 ** ((first + (last - first) * (band + corner) / 41) / 2595) - 1) for corner in (0, 1, 2)
    )
    hertz = bin_ * 16000 / 512
    return max(0.0, min((hertz - left) / (peak - left), (right - hertz) / (right - peak)))


def test_the_mel_scale_is_that_of_htk():
    hertz = torch.tensor([0.0, 700.0, 6300.0, 1000.0], dtype=torch.float64)
    expected = [0.0, 2595 * math.log10(2), 2595.0, 999.9855]
    assert hertz_to_mel(hertz).tolist() == pytest.approx(expected, abs=1e-3)
    assert mel_to_hertz(hertz_to_mel(hertz)).tolist() == pytest.approx(hertz.tolist())


def test_the_filters_are_triangles_in_hertz():
    expected = [[_triangle(bin_, band) for band in range(40)] for bin_ in range(257)]
    torch.testing.assert_close(FEATURES.filters, torch.tensor(expected), atol=1e-6, rtol=0)


def test_a_second_has_49_frames_of_40_bands():
    assert (FEATURES.samples, FEATURES.frames) == (16000, 49)
    assert FEATURES(_noise()).shape == (3, 1, 49, 40)
    assert FEATURES(_noise(samples=480)).shape == (3, 1, 1, 40)
    half = LogMel(seconds=0.5)
    assert half(_noise(samples=half.samples)).shape == (3, 1, half.frames, 40)


def test_a_spectrogram_by_hand():
    waveform = _noise(1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)  # periodic
    frames = np.stack([waveform[0].numpy()[320 * i : 320 * i + 480] for i in range(49)])
    power = np.abs(np.fft.rfft(frames * window, 512)) ** 2
    expected = np.log(power @ FEATURES.filters.double().numpy() + 1e-6)
    np.testing.assert_allclose(FEATURES(waveform)[0, 0].numpy(), expected, atol=1e-4)


def test_the_spectrum_is_that_of_scipy():
    from scipy.signal import ShortTimeFFT, get_window

    waveform = _noise(1)
    transform = ShortTimeFFT(get_window("hann", 480), hop=320, fs=16000, mfft=512)
    power = np.abs(transform.stft(waveform[0].numpy(), p0=0, p1=50)) ** 2  # (bins, frames), centred at 320 i
    expected = np.log(power.T @ FEATURES.filters.double().numpy() + 1e-6)
    delayed = torch.cat([torch.zeros(1, 240), waveform], dim=1)  # its frames are centred at 320 i of the waveform
    np.testing.assert_allclose(FEATURES(delayed)[0, 0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("band", [0, 3, 10, 20, 30, 39])
def test_a_tone_sounds_in_its_own_band(band: int):
    peak = float(mel_to_hertz(torch.linspace(*hertz_to_mel(torch.tensor([60.0, 7600.0])).tolist(), 42))[band + 1])
    log_mel = FEATURES(torch.from_numpy(_tone(peak))[None])[0, 0]
    assert set(log_mel.argmax(dim=1).tolist()) == {band}


def test_the_power_of_a_tone_is_all_there():
    """Parseval: neighbouring triangles add up to 1, so the bands hold half of the frame's energy times the length."""
    tone = _tone(1234.5)
    window = torch.hann_window(480).numpy()
    energy = [np.square(tone[320 * i : 320 * i + 480] * window).sum() for i in range(49)]
    bands = (FEATURES(torch.from_numpy(tone)[None])[0, 0].exp() - 1e-6).sum(dim=1)
    np.testing.assert_allclose(bands.numpy(), 512 / 2 * np.array(energy), rtol=1e-3)


def test_silence_is_the_logarithm_of_the_floor():
    torch.testing.assert_close(FEATURES(torch.zeros(2, 16000)), torch.full((2, 1, 49, 40), math.log(1e-6)))


def test_a_batch_is_its_samples_one_by_one():
    noise = _noise(4)
    one_by_one = torch.cat([FEATURES(waveform[None]) for waveform in noise])
    torch.testing.assert_close(FEATURES(noise), one_by_one, atol=1e-5, rtol=1e-5)
    assert torch.equal(FEATURES(noise), LogMel()(noise))


def test_no_waveform_leaves_the_limits():
    low, high = FEATURES.limits
    tones = np.stack([_tone(hertz, amplitude=1) for hertz in (31, 100, 1000, 7000)])
    loud = torch.cat([_noise().sign(), torch.ones(1, 16000), torch.from_numpy(np.sign(tones)), torch.zeros(1, 16000)])
    log_mel = FEATURES(loud)
    assert low == pytest.approx(float(log_mel.min()))
    assert high - 2 < float(log_mel.max()) < high


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"window": 600}, "no log-mel with window 600"),
        ({"hop": 0}, "no log-mel .* hop 0"),
        ({"seconds": 0.01}, "160 samples"),
        ({"sample_rate": 8000}, "60 to 7600 Hz do not lie between 0 and half the sample rate, 4000 Hz"),
        ({"bands": 300}, "an fft of 512 does not resolve 300 mel bands: use fewer"),
    ],
)
def test_parameters_that_give_no_spectrogram(parameters: dict, message: str):
    with pytest.raises(UserError, match=message):
        LogMel(**parameters)


@pytest.mark.parametrize("shape", [(16000,), (1, 1, 16000), (2, 479)])
def test_waveforms_of_another_shape(shape: tuple[int, ...]):
    with pytest.raises(UserError, match=r"give \(B, samples\), at least 480 samples"):
        FEATURES(torch.zeros(shape))


@pytest.mark.parametrize(("rate", "new_rate"), [(8000, 16000), (44100, 16000), (48000, 16000), (16000, 8000)])
def test_a_resampled_tone_is_the_tone_of_the_other_rate(rate: int, new_rate: int):
    found = resample(_tone(1000, rate), rate, new_rate)
    assert found.dtype == np.float32
    assert found.shape == (new_rate,)
    inside = slice(new_rate // 10, -new_rate // 10)  # the ends lack their surroundings
    np.testing.assert_allclose(found[inside], _tone(1000, new_rate)[inside], atol=2e-3)


def test_resampling_is_band_limited():
    assert np.abs(resample(_tone(6000), 16000, 8000)[400:-400]).max() < 2e-3, "6 kHz would come back as 2 kHz"
    np.testing.assert_array_equal(resample(_tone(440), 16000, 16000), _tone(440))
    assert len(resample(np.zeros(8001, np.float32), 8000, 11025)) == math.ceil(8001 * 11025 / 8000)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(2, [2, 3]), (3, [1, 2, 3]), (4, [1, 2, 3, 4]), (5, [1, 2, 3, 4, 0]), (8, [0, 0, 1, 2, 3, 4, 0, 0])],
)
def test_a_length_is_fitted_around_the_middle(length: int, expected: list[int]):
    fitted = fit_length(np.arange(1, 5, dtype=np.float32), length)
    assert fitted.tolist() == expected
    assert fitted.dtype == np.float32


def test_quantization_is_off_by_half_a_step():
    values = torch.randn(5, 1, 7, 6, generator=torch.Generator().manual_seed(1)) * 4 - 5
    x, scale, offset = quantize(values)
    assert (x.dtype, x.shape) == (torch.uint8, values.shape)
    assert (scale.shape, offset.shape, scale.dtype, offset.dtype) == ((1,), (1,), torch.float32, torch.float32)
    assert (int(x.min()), int(x.max())) == (0, 255)
    assert ((x * scale + offset) - values).abs().max() <= scale / 2 + 1e-5


def test_quantization_within_limits():
    x, scale, offset = quantize(torch.tensor([-9.0, -1.0, 0.01, 1.0, 9.0]), (-1.0, 1.0))
    assert x.tolist() == [0, 0, 129, 255, 255]
    assert float(scale) == pytest.approx(2 / 255)
    assert float(offset) == -1
    x, scale, offset = quantize(torch.full((3,), 2.5))
    assert (x * scale + offset).tolist() == [2.5] * 3


def test_the_package_loads_no_audio_library():
    modules = "pppl, pppl.data.sources.fsdd, pppl.data.sources.speech_commands, pppl.data.augment, sys"
    code = f"import {modules}; print([m for m in ('soundfile', 'scipy.signal') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"

"""Reading recordings: one file as a waveform, many files as log-mel spectrograms."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..system import progress
from ..system.errors import UserError
from .features import LogMel, fit_length, resample

_BATCH = 256  # clips transformed at once: 16 MB of waveforms
# What recorders do, in Hz; a rate beyond that is a damaged header, which resampling would believe at any cost.
_RATES = 2000, 768_000
# Longest recording, in seconds and in values of all channels (128 MB): nobody says one word for so long.
_LONGEST, _MOST_VALUES = 600, 1 << 25
# How loud the mean of channels is, to the loudest, where they cancel each other or are nearly all silent.
_CANCELLED = 0.52
# Times full scale from which on floats are no recording in [-1, 1] but integers that nobody divided.
_UNSCALED = 10.0
# Highest level of encodings that do not reach full scale.
_TOP = {"PCM_U8": 0.99, "PCM_S8": 0.99, "ULAW": 0.98, "ALAW": 0.98}
_FULL = 0.999
# Parts of the loudest window's sound that the middle must have to be kept, and that others have which are as loud.
_NEARLY_ALL, _AS_LOUD = 0.9, 0.999
_STREAMED = 0x7FFF0000  # bytes that a writer claims who could not go back to the header
_CUT_OFF = re.compile(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)


class Recording(NamedTuple):
    """A recording as it is heard.

    - `waveform`: float32 `(samples,)`, full scale is 1.
    - `rate`: in Hz.
    - `top`: the level from which on a sample counts as clipped.
    - `notes`: what is odd about it, a part of a sentence each.
    """

    waveform: np.ndarray
    rate: int
    top: float
    notes: tuple[str, ...]


def read_recording(path: Path) -> Recording:
    """Read a recording as one channel: the mean of all, or the loudest where they cancel or the others are silent.

    Memory is bounded, whatever the file's header says.

    Raises `UserError` where there is no file, or none with finite samples in a format that libsndfile reads, and for
    a rate that no recorder has, a length in which nobody says one word, and floats that are far beyond full scale.
    """
    import soundfile

    if not path.is_file():
        raise UserError(f"{path} is not there: check the name of the recording")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty (0 bytes): download or unpack it again")
    try:
        with soundfile.SoundFile(path) as file:
            rate, encoding = file.samplerate, file.subtype
            _check_header(path, rate, file.frames, file.channels)
            channels = file.read(dtype="float32", always_2d=True)  # (samples, channels)
            notes = _cut_off(file.extra_info)
    except (soundfile.SoundFileError, OSError) as error:
        reason = str(getattr(error, "error_string", error)).partition("\n")[0].strip().rstrip(".")
        if "fseek" in reason:  # of flac, which is read by places
            reason = "it ends before its header says"
        raise UserError(f"{path} is no recording that can be read ({reason}): give a wav file") from error
    if len(channels) == 0:
        raise UserError(f"{path} has no samples: record it again, or remove it")
    if not np.isfinite(channels).all():
        raise UserError(f"{path} has samples that are no finite numbers: record it again, or remove it")
    if (most := float(np.abs(channels).max())) > _UNSCALED:
        raise UserError(
            f"{path} reaches {most:.4g} times full scale: a recording of floats lies between -1 and 1, divide by the "
            f"largest whole number of its original, such as 32768"
        )
    waveform, told = _one_channel(channels)
    return Recording(waveform, rate, _TOP.get(encoding, _FULL), (*notes, *told))


def _check_header(path: Path, rate: int, frames: int, channels: int) -> None:
    low, high = _RATES
    if not low <= rate <= high:
        raise UserError(
            f"{path} has a rate of {rate} Hz, which no recorder has ({low} to {high} Hz): its header is damaged, "
            "convert it again"
        )
    if frames > min(_LONGEST * rate, _MOST_VALUES // channels):
        seconds = min(_LONGEST, _MOST_VALUES / channels / rate)
        raise UserError(
            f"{path} is {frames / rate:,.0f} s long by its header: cut it into one file for each sample, of at most "
            f"{seconds:.0f} s"
        )


def _cut_off(log: str) -> tuple[str, ...]:
    """Whether the file holds less than its header claims, by the log of libsndfile."""
    found = _CUT_OFF.search(log)
    claimed, there = map(int, found.groups()) if found else (0, 0)
    if there >= 0.99 * claimed or claimed >= _STREAMED:
        return ()
    return (f"is cut off: its header tells of {claimed:,} bytes of sound, {there:,} are there",)


def _one_channel(channels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """The mean of channels `(samples, channels)`, or the loudest where that is lost in the mean, with a note."""
    waveform = channels.mean(axis=1, dtype=np.float32)
    if (count := channels.shape[1]) == 1:
        return waveform, ()
    levels = [float(channels[:, index].std(dtype=np.float64)) for index in range(count)]
    loudest = int(np.argmax(levels))
    if waveform.std(dtype=np.float64) >= _CANCELLED * levels[loudest]:
        return waveform, ()
    note = f"has channels that cancel each other or are silent: channel {loudest + 1} of {count}, the loudest, is taken"
    return np.ascontiguousarray(channels[:, loudest]), (note,)


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """Read a recording: float32 `(samples,)` in [-1, 1], and its sample rate in Hz.

    Raises `UserError` as `read_recording` does.
    """
    recording = read_recording(path)
    return recording.waveform, recording.rate


def loudest_window(waveform: np.ndarray, samples: int) -> tuple[int, float]:
    """Find where the sound is in a waveform `(T,)` that is longer than a clip of `samples` samples.

    Loudness is the mean of absolute values, which a click does not decide as it would the energy. The middle is kept
    wherever it has nearly all of what the loudest window has, as in training; of windows that are equally loud, as
    around a short word, the middle one is taken.

    **Returns:** the first sample of the window, and which part of all the sound it has.
    """
    sound = np.cumsum(np.abs(waveform - waveform.mean(dtype=np.float64)), dtype=np.float64)
    sound = np.concatenate([np.zeros(1), sound])
    windows = sound[samples:] - sound[:-samples]
    start, most = (len(waveform) - samples) // 2, windows.max()
    if windows[start] < _NEARLY_ALL * most:
        quieter = np.flatnonzero(windows < _AS_LOUD * most)
        best = int(windows.argmax())
        after = int(np.searchsorted(quieter, best))
        first = quieter[after - 1] + 1 if after else 0
        last = quieter[after] - 1 if after < len(quieter) else len(windows) - 1
        start = int(first + last) // 2
    return start, float(windows[start] / sound[-1]) if sound[-1] else 1.0


def read_clip(path: Path, features: LogMel) -> np.ndarray:
    """Reads a recording at the rate and length that `features` takes, float32 `(samples,)`."""
    waveform, rate = read_wav(path)
    return fit_length(resample(waveform, rate, features.sample_rate), features.samples)


def log_mels(paths: Sequence[Path], features: LogMel) -> Iterator[Tensor]:
    """The log-mels of recordings in batches of `(B, 1, frames, bands)`, in order, with a progress bar in a terminal."""
    with progress.bar(total=len(paths), desc="recordings", unit="file") as shown:
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            yield features(torch.from_numpy(np.stack([read_clip(path, features) for path in batch])))
            shown.update(len(batch))

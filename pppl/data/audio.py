"""Readers of recordings: one file as a waveform, many files as log-mel spectrograms."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..system import progress
from ..system.errors import UserError
from ..system.extras import Needing
from .features import LogMel, fit_length, resample
from .stored_file import AnyFile, size_in_bytes

_BATCH = 256  # clips transformed at once: 16 MB of waveforms
# Lowest and highest sample rate of recorders, in Hz. Another rate means a damaged header, and resampling from it could
# take any amount of time and memory.
_RATES = 2000, 768_000
# Longest recording, in seconds and in values of all channels (128 MB); a sample is never this long.
_LONGEST, _MOST_VALUES = 600, 1 << 25
# If the mean of the channels is below this share of the loudest channel's level, the channels cancel each other or
# nearly all of them are silent.
_CANCELLED = 0.52
# Floats beyond this multiple of full scale are not a recording in [-1, 1] but integers that were never divided.
_UNSCALED = 10.0
# Clipping level of encodings whose highest level is below full scale, and of all others.
_TOP = {"PCM_U8": 0.99, "PCM_S8": 0.99, "ULAW": 0.98, "ALAW": 0.98}
_FULL = 0.999
# Shares of the loudest window's sound: the middle window is kept from the first on, and windows from the second on
# count as equally loud.
_NEARLY_ALL, _AS_LOUD = 0.9, 0.999
_STREAMED = 0x7FFF0000  # a writer to a stream cannot go back to the header and claims at least this many bytes
_CUT_OFF = re.compile(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)


class Recording(NamedTuple):
    """A recording of one channel.

    - `waveform`: float32 `(samples,)`, full scale is 1.
    - `rate`: sample rate in Hz.
    - `top`: the level from which a sample counts as clipped.
    - `notes`: warnings, a part of a sentence each.
    """

    waveform: np.ndarray
    rate: int
    top: float
    notes: tuple[str, ...]


def read_recording(path: AnyFile) -> Recording:
    """Read a recording as one channel: the mean of all channels.

    If the channels cancel each other, or nearly all are silent, it is the loudest channel. Memory is bounded, whatever
    the file's header says.

    Raise `UserError` if the file does not exist, is empty, cannot be read by libsndfile or holds values that are not
    finite; and if its rate is none of a recorder, it is longer than 10 minutes, or floats are far beyond full scale.
    """
    with Needing("a recording", "audio"):
        import soundfile
    if not path.is_file():
        raise UserError(f"{path} is not there: check the name of the recording")
    if size_in_bytes(path) == 0:
        raise UserError(f"{path} is empty (0 bytes): download or unpack it again")
    try:
        with soundfile.SoundFile(path if isinstance(path, Path) else path.open()) as file:
            rate, encoding = file.samplerate, file.subtype
            _check_header(path, rate, file.frames, file.channels)
            channels = file.read(dtype="float32", always_2d=True)  # (samples, channels)
            notes = _cut_off(file.extra_info)
    except (soundfile.SoundFileError, OSError) as error:
        reason = str(getattr(error, "error_string", error)).partition("\n")[0].strip().rstrip(".")
        if "fseek" in reason:  # a flac file is read by seeking, and this one is too short
            reason = "it ends before its header says"
        raise UserError(f"{path} is no recording that can be read ({reason}): give a wav file") from error
    if len(channels) == 0:
        raise UserError(f"{path} has no samples: record it again, or remove it")
    if not np.isfinite(channels).all():
        raise UserError(f"{path} holds NaN or infinite values: record it again, or remove it")
    if (most := float(np.abs(channels).max())) > _UNSCALED:
        raise UserError(
            f"{path} reaches {most:.4g} times full scale: floats must lie between -1 and 1, so divide them by the "
            f"full scale of the original integers, such as 32768"
        )
    waveform, told = _one_channel(channels)
    return Recording(waveform, rate, _TOP.get(encoding, _FULL), (*notes, *told))


def _check_header(path: AnyFile, rate: int, frames: int, channels: int) -> None:
    low, high = _RATES
    if not low <= rate <= high:
        raise UserError(
            f"{path} has a rate of {rate} Hz, which no recorder has ({low} to {high} Hz): its header is damaged, "
            "convert it again"
        )
    if frames > min(_LONGEST * rate, _MOST_VALUES // channels):
        seconds = min(_LONGEST, _MOST_VALUES / channels / rate)
        raise UserError(
            f"{path} is {frames / rate:,.0f} s long according to its header: cut it into one file for each sample, of "
            f"at most {seconds:.0f} s"
        )


def _cut_off(log: str) -> tuple[str, ...]:
    """Return a note if the file holds less sound than its header claims, according to libsndfile's log."""
    found = _CUT_OFF.search(log)
    claimed, there = map(int, found.groups()) if found else (0, 0)
    if there >= 0.99 * claimed or claimed >= _STREAMED:
        return ()
    return (f"is cut off: its header tells of {claimed:,} bytes of sound, {there:,} are there",)


def _one_channel(channels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the mean of channels `(samples, channels)`, or the loudest one, with a note, if the mean loses it."""
    waveform = channels.mean(axis=1, dtype=np.float32)
    if (count := channels.shape[1]) == 1:
        return waveform, ()
    levels = [float(channels[:, index].std(dtype=np.float64)) for index in range(count)]
    loudest = int(np.argmax(levels))
    if waveform.std(dtype=np.float64) >= _CANCELLED * levels[loudest]:
        return waveform, ()
    note = f"has channels that cancel each other or are silent: channel {loudest + 1} of {count}, the loudest, is taken"
    return np.ascontiguousarray(channels[:, loudest]), (note,)


def seconds_of(path: AnyFile) -> float:
    """Return the length of a recording that can be read, by its header."""
    import soundfile

    return soundfile.info(path if isinstance(path, Path) else path.open()).duration


def read_wav(path: AnyFile) -> tuple[np.ndarray, int]:
    """Read a recording as float32 `(samples,)`, full scale is 1, and its sample rate in Hz.

    Raise `UserError` as `read_recording` does.
    """
    recording = read_recording(path)
    return recording.waveform, recording.rate


def loudest_window(waveform: np.ndarray, samples: int) -> tuple[int, float]:
    """Find the window of `samples` samples that holds the sound of a longer waveform `(T,)`.

    Loudness is the mean absolute value, since a click would dominate the energy. The window in the middle, which
    training takes, is kept if it has nearly as much sound as the loudest one. Around a short word several windows are
    equally loud: then the middle one of them is taken.

    **Returns:** the first sample of the window, and its share of the waveform's sound.

    >>> loudest_window(np.array([0, 0, 0, 0, 0, 0, 0, 1, -1, 1, -1, 0], np.float32), 4)
    (7, 1.0)
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


def read_clip(path: AnyFile, features: LogMel) -> np.ndarray:
    """Read a recording at the rate and length that `features` takes, as float32 `(samples,)`."""
    waveform, rate = read_wav(path)
    return fit_length(resample(waveform, rate, features.sample_rate), features.samples)


def log_mels(paths: Sequence[AnyFile], features: LogMel) -> Iterator[Tensor]:
    """Yield the log-mels of recordings in order, in batches `(B, 1, frames, bands)`, and show a progress bar."""
    with progress.bar(total=len(paths), desc="recordings", unit="file") as shown:
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            yield features(torch.from_numpy(np.stack([read_clip(path, features) for path in batch])))
            shown.update(len(batch))

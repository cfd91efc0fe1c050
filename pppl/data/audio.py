"""Reading recordings: one file as a waveform, many files as log-mel spectrograms."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import progress
from ..errors import UserError
from .features import LogMel, fit_length, resample

_BATCH = 256  # clips transformed at once: 16 MB of waveforms


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """Reads a recording: the mean of its channels, float32 `(samples,)` in [-1, 1], and its sample rate in Hz.

    Raises `UserError` where there is no file, or none with finite samples in a format that libsndfile reads.
    """
    import soundfile

    if not path.is_file():
        raise UserError(f"{path} is not there: check the name of the recording")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty (0 bytes): download or unpack it again")
    try:
        channels, rate = soundfile.read(path, dtype="float32", always_2d=True)  # (samples, channels)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip().rstrip(".")
        raise UserError(f"{path} is no recording that can be read ({reason}): give a wav file") from error
    if len(channels) == 0:
        raise UserError(f"{path} has no samples: record it again, or remove it")
    waveform = channels.mean(axis=1, dtype=np.float32)
    if not np.isfinite(waveform).all():
        raise UserError(f"{path} has samples that are no finite numbers: record it again, or remove it")
    return waveform, rate


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

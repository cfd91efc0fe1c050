"""A person's samples from recordings, images or arrays: in files, folders or lists of files."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..system.errors import UserError, unknown
from ..system.files import expand
from .arrays import read_npy
from .audio import loudest_window, read_recording
from .features import LogMel, fit_length, resample
from .images import read_image
from .npz import read_samples_npz
from .preprocessing import Preprocessing
from .ranges import check_range
from .shapes import describe

AUDIO = (".wav", ".flac", ".ogg", ".aiff", ".mp3")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
# `_CLIPPED` is the share of samples at full scale that counts as clipping. The others are levels as fractions of full
# scale: silent, very quiet, an offset, and louder than players can play. Only the offset is measured on the whole
# recording; the others are measured on the part that the network hears.
_CLIPPED, _SILENT, _QUIET, _OFFSET, _BEYOND = 0.01, 1e-4, 0.01, 0.01, 1.01
# There is a note if the network hears less than this share of a recording's sound.
_MOST_OF_IT = 0.9


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Samples before preprocessing, as a device has them.

    - `values`: physical values, `(N, C, ...)` float32, the input of `Preprocessing`; float64 if they are so far from 0
      that float32 would lose digits.
    - `names`: names of the samples to show to people.
    - `labels`: `(N,)` class indices; None if unknown.
    - `waveforms`: `(N, samples)` at the rate of the preprocessing, if samples are recordings; else None.
    - `notes`: warnings about the samples, a line each.

    >>> print(Samples(values=torch.zeros(2, 1, 8, 8), names=("a", "b"), labels=torch.tensor([0, 1])))
    2 samples, 1 channel x 8 x 8 pixels, 2 classes
    """

    values: Tensor
    names: tuple[str, ...]
    labels: Tensor | None = None
    waveforms: Tensor | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Describe the samples in one line."""
        classes = 0 if self.labels is None else len(self.labels.unique())
        log_mel = self.waveforms is not None
        return describe(self.values.shape[1:], len(self.values), log_mel=log_mel, classes=classes)

    def given(self, *, raw_audio: bool) -> Tensor:
        """Return the input of an exported network: waveforms if it takes `raw_audio`, else values.

        Raise `UserError` if it takes raw audio but the samples are not recordings.
        """
        if not raw_audio:
            return self.values.float()
        if self.waveforms is None:
            raise UserError(f"{self.names[0]} is not a recording, but this network takes raw audio: give a wav file")
        return self.waveforms


def read_samples(source: str, preprocessing: Preprocessing) -> Samples:
    """Read samples from a file, a folder, or (`-`) a list of files on standard input, one per line.

    If a folder has sub-folders, their names are the labels and must be class names. Otherwise there are no labels,
    unless the file is an `.npz` file with `y`.

    Raise `UserError` if there is no file, or if one cannot be read or used; the message names the file.

    ```python
    samples = read_samples("recordings/anna", preprocessing)
    inputs = preprocessing(samples.values)  # (N, C, ...)
    ```
    """
    if source == "-":
        return read_files([expand(line.strip()) for line in sys.stdin if line.strip()], preprocessing)
    path = expand(source)
    if path.is_dir():
        return _read_folder(path, preprocessing)
    return read_files([path], preprocessing)


def _read_folder(folder: Path, preprocessing: Preprocessing) -> Samples:
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    folders = [path for path in inside if path.is_dir()]
    if not folders:
        return read_files(inside, preprocessing, where=str(folder))
    loose = [path for path in inside if not path.is_dir()]
    if loose:
        raise UserError(f"{folder} holds sub-folders and files, {loose[0].name} first: put all files into sub-folders")
    paths, labels = [], []
    for label in folders:
        if label.name not in preprocessing.classes:
            raise unknown(f"class of sub-folder {label}", label.name, preprocessing.classes)
        files = sorted(path for path in label.iterdir() if not path.name.startswith("."))
        paths += files
        labels += [preprocessing.classes.index(label.name)] * len(files)
    samples = read_files(paths, preprocessing, where=str(folder))
    if len(samples.names) != len(labels):
        raise UserError(f"{folder} holds files of several samples: put one sample into each file, or give an .npz file")
    return Samples(**{**vars(samples), "labels": torch.tensor(labels)})


def read_files(paths: Sequence[Path], preprocessing: Preprocessing, *, where: str = "the list") -> Samples:
    """Read files of one kind: recordings, images, `.npy` files, or one `.npz` file.

    **Arguments:**

    - `where`: the origin of the paths, named in error messages.

    Raise `UserError` as `read_samples` does.
    """
    if not paths:
        raise UserError(f"there is no file in {where}: give at least one sample")
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path} is not there: check the name of the file")
    kinds = {file_kind(path) for path in paths}
    if len(kinds) > 1 or (kinds == {"npz"} and len(paths) > 1):
        raise UserError(f"{where} mixes files ({', '.join(sorted(kinds))}): give recordings, images or one .npz file")
    return {"npz": _arrays, "npy": _arrays, "audio": _recordings, "image": _images}[kinds.pop()](paths, preprocessing)


def file_kind(path: Path) -> str:
    """Return what a file holds by its name: `audio`, `image`, `npy` or `npz`. Raise `UserError` for any other.

    >>> file_kind(Path("anna.wav"))
    'audio'
    """
    suffix = path.suffix.lower()
    known = {".npz": "npz", ".npy": "npy"} | dict.fromkeys(AUDIO, "audio") | dict.fromkeys(IMAGES, "image")
    if suffix not in known:
        raise UserError(f"{path} is of no known kind: give one of {', '.join(known)}")
    return known[suffix]


def _recordings(paths: Sequence[Path], preprocessing: Preprocessing) -> Samples:
    log_mel = preprocessing.log_mel
    if log_mel is None:
        raise UserError(f"{paths[0]} is a recording, but this network takes arrays of shape {preprocessing.shape}")
    clips, notes = [], []
    for path in paths:
        clip, told = _clip(path, log_mel)
        clips.append(clip)
        notes += [f"{path} {note}" for note in told]
    waveforms = torch.from_numpy(np.stack(clips).astype(np.float32))
    return Samples(values=log_mel(waveforms), names=tuple(map(str, paths)), waveforms=waveforms, notes=tuple(notes))


def _clip(path: Path, log_mel: LogMel) -> tuple[np.ndarray, list[str]]:
    """Read the part of a recording that the network hears.

    **Returns:** the waveform, `(samples,)`, at the network's sample rate; and notes, a part of a sentence each.

    Raise `UserError` if the recording is too short or silent, or as `read_recording` does.
    """
    waveform, rate, top, told = read_recording(path)
    notes, seconds = list(told), len(waveform) / rate
    if len(waveform) < log_mel.window * rate / log_mel.sample_rate:
        least = 1000 * log_mel.window / log_mel.sample_rate
        raise UserError(f"{path} is too short ({1000 * seconds:.1f} ms): give {least:g} ms or more")
    if abs(offset := waveform.mean(dtype=np.float64)) > _OFFSET:
        notes.append(f"has an offset of {offset:.2g} of full scale, which is taken away")
        waveform = waveform - np.float32(offset)
    heard, used = resample(waveform, rate, log_mel.sample_rate), waveform
    if len(heard) > log_mel.samples:
        start, share = loudest_window(heard, log_mel.samples)
        moved = start != (len(heard) - log_mel.samples) // 2
        first, last = (place * rate / log_mel.sample_rate for place in (start, start + log_mel.samples))
        heard, used = heard[start : start + log_mel.samples], waveform[int(first) : math.ceil(last)]
        if moved or share < _MOST_OF_IT:
            where = f"from {first / rate:.2f} to {last / rate:.2f} s"
            notes.append(f"is {seconds:.2f} s long, the network hears {log_mel.seconds:g} s: the loudest, {where}")
    loudest = float(np.abs(used - used.mean(dtype=np.float64)).max())
    if loudest < _SILENT:
        raise UserError(f"{path} is silent (nothing above {_SILENT:g} of full scale): record it again")
    if loudest < _QUIET:
        notes.append(f"is very quiet (its loudest is {loudest:.2%} of full scale): record it again with more gain")
    if np.abs(used).max() > _BEYOND:
        notes.append(f"reaches {np.abs(used).max():.2f} times full scale, which players clip: make it less loud")
    elif (clipped := (np.abs(used) >= top).mean()) > _CLIPPED:
        notes.append(f"is clipped ({clipped:.0%} of it at full scale): record it again with less gain")
    return fit_length(heard, log_mel.samples), notes


def _images(paths: Sequence[Path], preprocessing: Preprocessing) -> Samples:
    if preprocessing.pixels is None:
        raise UserError(f"{paths[0]} is an image, but this network takes {_taken(preprocessing)}")
    channels, height, width = preprocessing.shape
    black, white = preprocessing.pixels
    pictures, notes = [], []
    for path in paths:
        picture, told = read_image(path, channels, (width, height))
        pictures.append(picture)
        notes += [f"{path} {note}" for note in told]
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)  # (N, C, H, W)
    return Samples(values=black + pixels * ((white - black) / 255), names=tuple(map(str, paths)), notes=tuple(notes))


def _arrays(paths: Sequence[Path], preprocessing: Preprocessing) -> Samples:
    dtype, notes = torch.float64 if preprocessing.shift else torch.float32, []
    if paths[0].suffix.lower() == ".npz":
        values, labels, told = read_samples_npz(
            paths[0], preprocessing.classes, dtype, outputs=len(preprocessing.output_scale)
        )
        parts, notes = [values], list(told)
    else:
        labels, dims = None, len(preprocessing.shape)
        arrays = [read_npy(path, dtype) for path in paths]
        parts = [array[None] if array.ndim == dims else array for array in arrays]  # one sample or several
    for path, part in zip(paths, parts, strict=True):
        if (shape := tuple(part.shape[1:])) != preprocessing.shape:
            hint = ": its axes may be swapped" if sorted(shape) == sorted(preprocessing.shape) else ""
            raise UserError(f"{path} has samples of shape {shape}, the network takes {_taken(preprocessing)}{hint}")
        if len(part) == 0:
            raise UserError(f"{path} is empty: give at least one sample")
        if not part.isfinite().all():
            raise UserError(f"{path} holds NaN or infinite values: write finite ones")
        notes += check_range(str(path), part, preprocessing)
    names = [
        f"{path}[{index}]" if len(part) > 1 else str(path)
        for path, part in zip(paths, parts, strict=True)
        for index in range(len(part))
    ]
    return Samples(values=torch.cat(parts), names=tuple(names), labels=labels, notes=tuple(dict.fromkeys(notes)))


def _taken(preprocessing: Preprocessing) -> str:
    return "recordings" if preprocessing.log_mel else f"arrays of shape {preprocessing.shape}"

"""The samples of a data set, of one shape: many recordings or images as uint8, or arrays and tables of numbers."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...config import DataSettings
from ...system import progress
from ...system.errors import UserError
from ..audio import log_mels, seconds_of
from ..features import LogMel, quantize
from ..images import probe_image, read_image
from ..stored_file import AnyFile

_ONE = torch.ones(1)
_MOST_NOTES = 5


class Media(NamedTuple):
    """Samples read from files.

    - `x`: `(N, C, ...)`, as they are kept in memory.
    - `scale`, `offset`: `(1,)`; a physical value is `x * scale + offset`.
    - `log_mel`: the transform of recordings; None for images and arrays.
    - `notes`: lines about the files.
    """

    x: Tensor
    scale: Tensor = _ONE
    offset: Tensor = _ONE * 0
    log_mel: LogMel | None = None
    notes: tuple[str, ...] = ()


def refuse_settings(data: DataSettings, *names: str) -> None:
    """Raise `UserError` if one of these settings is given for data that it does not fit: `columns` or `size`."""
    reasons = {"columns": "is no table", "size": "has no image files"}
    for name in names:
        if getattr(data, name) != getattr(DataSettings(), name):
            raise UserError(f"data.{name} is set, but {data.name} {reasons[name]}: leave it out")


def read_media(kind: str, files: Sequence[AnyFile], data: DataSettings) -> Media:
    """Read files of one kind, `audio` or `image`, as settings say. Raise `UserError` if one cannot be read."""
    if kind == "image":
        return read_pictures(files, data.size)
    refuse_settings(data, "size")
    return read_recordings(files)


def read_recordings(files: Sequence[AnyFile]) -> Media:
    """Read recordings as log-mels, `(N, 1, frames, bands)`. A longer recording gives its middle second.

    Raise `UserError` if one cannot be read, as `read_recording` does.
    """
    log_mel = LogMel()
    batches = [quantize(batch, log_mel.limits) for batch in log_mels(files, log_mel)]
    longer = [seconds for file in files if (seconds := seconds_of(file)) > log_mel.seconds]
    cut = f"{len(longer):,} of {len(files):,} recordings are longer than {log_mel.seconds:g} s, up to "
    notes = (f"{cut}{max(longer):.1f} s: their middle is taken",) if longer else ()
    x, scales, offsets = zip(*batches, strict=True)
    return Media(torch.cat(x), scales[0], offsets[0], log_mel, notes)


def read_pictures(files: Sequence[AnyFile], size: Sequence[int] = ()) -> Media:
    """Read images, `(N, C, H, W)`: 1 channel if all are grey, else 3. Black is 0 and white is 1.

    **Arguments:**

    - `size`: height and width that images are scaled to; empty if they all have one size.

    Raise `UserError` if one cannot be read, or if they have several sizes and none is given.
    """
    probed = [probe_image(file) for file in files]
    channels = max(found for found, _ in probed)
    if size:
        width, height = size[1], size[0]
    else:
        (width, height), _ = Counter(found for _, found in probed).most_common(1)[0]
        for file, (_, found) in zip(files, probed, strict=True):
            if found != (width, height):
                raise UserError(
                    f"{file} has {found[0]} x {found[1]} pixels, most have {width} x {height}: set data.size to the "
                    f"height and width that all are scaled to, such as [{height}, {width}]"
                )
    x = torch.empty(len(files), channels, height, width, dtype=torch.uint8)
    told: dict[str, list[AnyFile]] = {}
    for at, file in enumerate(progress.bar(files, desc="images", unit="file")):
        pixels, notes = read_image(file, channels, (width, height))
        x[at] = torch.from_numpy(pixels.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1)
        for note in notes:
            told.setdefault(note, []).append(file)
    return Media(x, _ONE / 255, notes=tuple(_in_one_line(note, noted) for note, noted in told.items())[:_MOST_NOTES])


def _in_one_line(note: str, files: Sequence[AnyFile]) -> str:
    return f"{files[0]} {note}" + (f"; so are {len(files) - 1:,} more" if len(files) > 1 else "")

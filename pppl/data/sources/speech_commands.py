"""Speech Commands v0.02: 105,829 one-second recordings of 35 words by 2,618 speakers (Warden, 2018, CC BY 4.0)."""

import re
from pathlib import Path

import numpy as np
import torch

from ...system.errors import UserError
from ...system.files import output_folder, replacing
from ..audio import log_mels
from ..features import LogMel, quantize
from ..identities import TEST, TRAIN, VALIDATION

_NAME = re.compile(r"(?P<speaker>[^_]+)_nohash_\d+\.wav")
_LISTS = {"validation_list.txt": VALIDATION, "testing_list.txt": TEST}


def convert(folder: Path, destination: Path) -> None:
    """Writes the recordings of the unpacked official archive as an identity dataset, one `.npz` file.

    `x` holds log-mels `(N, 1, 49, 40)` as uint8, over the range that any recording can have, so that one pass does; the
    classes are the words, the identities the hashes in the file names, and the split is that of the official lists.
    Folders whose names begin with `_`, as the background noise, are left out. Memory is twice that of `x`, 0.4 GB.

    Raises `UserError` where the folder is not that archive, whole, for a recording that cannot be read, and where
    the destination cannot be written.
    """
    output_folder(destination.parent)
    recordings = _recordings(folder)
    words, word = np.unique([name.split("/")[0] for name in recordings], return_inverse=True)
    speakers, speaker = np.unique([_speaker(folder / name) for name in recordings], return_inverse=True)
    split = _split(folder, recordings)
    features = LogMel()
    log_mel = log_mels([folder / name for name in recordings], features)
    batches, scales, offsets = zip(*(quantize(batch, features.limits) for batch in log_mel), strict=True)
    with replacing(destination) as temporary:
        np.savez(
            temporary,
            x=torch.cat(batches).numpy(),
            y=word.astype(np.int64),
            classes=words,
            identity=speaker.astype(np.int64),
            identities=speakers,
            split=split,
            scale=scales[0].numpy(),
            offset=offsets[0].numpy(),
        )


def _recordings(folder: Path) -> list[str]:
    """Names of the recordings as in the official lists, `word/file.wav`, in order."""
    names = [path.relative_to(folder).as_posix() for path in folder.glob("[!._]*/[!.]*.wav")]
    if not names:
        raise UserError(f"{folder} has no <word>/<speaker>_nohash_<n>.wav: give the unpacked Speech Commands")
    return sorted(names)


def _speaker(path: Path) -> str:
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise UserError(f"{path} is not named <speaker>_nohash_<n>.wav: move it elsewhere")
    return name["speaker"]


def _split(folder: Path, recordings: list[str]) -> np.ndarray:
    """`(N,)` uint8, by the official lists; what they do not name is for training."""
    rows = {name: row for row, name in enumerate(recordings)}
    split = np.full(len(recordings), TRAIN, np.uint8)
    for name, part in _LISTS.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is not there: unpack the archive of Speech Commands v0.02 again")
        listed = (folder / name).read_text(encoding="utf-8").split()
        missing = [recording for recording in listed if recording not in rows]
        if missing:
            raise UserError(
                f"{folder / missing[0]} is listed in {name} but not there (one of {len(missing)}): unpack the "
                f"archive of Speech Commands v0.02 again"
            )
        split[[rows[recording] for recording in listed]] = part
    return split

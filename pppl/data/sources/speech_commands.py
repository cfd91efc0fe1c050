"""Speech Commands v0.02: 105,829 one-second recordings of 35 words by 2,618 speakers (Warden, 2018, CC BY 4.0)."""

import re
from pathlib import Path

import numpy as np
import torch

from ...system.errors import UserError
from ...system.files import output_folder, replacing
from ..audio import log_mels
from ..catalogue import register_source
from ..download import Archive
from ..features import LogMel, quantize
from ..identities import TEST, TRAIN, VALIDATION
from ..npz import load_npz

_NAME = re.compile(r"(?P<speaker>[^_]+)_nohash_\d+\.wav")
_LISTS = {"validation_list.txt": VALIDATION, "testing_list.txt": TEST}


def convert(folder: Path, destination: Path) -> None:
    """Convert the unpacked official archive to an `.npz` file in the identity-dataset format.

    `x` holds log-mels `(N, 1, 49, 40)` as uint8. They are quantized over the range of all possible recordings, so one
    pass over the files is enough. Classes are the words, identities are the hashes in the file names, and the split is
    that of the official lists. Folders whose names begin with `_`, such as background noise, are left out. The
    conversion needs twice the memory of `x`, 0.4 GB.

    Raise `UserError` if the folder does not hold the complete archive, a recording cannot be read, or the destination
    cannot be written.

    ```python
    convert(Path("unpacked"), data_folder() / "speech-commands-v0.02.npz")
    ```
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
    """List the names of the recordings, sorted, in the form of the official lists: `word/file.wav`."""
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
    """Return the split of the official lists, `(N,)` uint8; recordings in no list are for training.

    Raise `UserError` if a list, or a recording that a list names, is missing.
    """
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


register_source(
    "speech_commands",
    file="speech-commands-v0.02.npz",
    samples=105_829,
    size="2.4 GB",
    identities="2,618 speakers",
    licence="CC BY 4.0 (Warden 2018)",
    log_mel=LogMel(),
    archives=(
        Archive(
            url="http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            hash="sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        ),
    ),
    convert=convert,
)(load_npz)

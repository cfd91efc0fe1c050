"""Free Spoken Digit Dataset: 3,000 recordings of ten digits by 6 speakers, 8 kHz (Jackson et al., CC BY-SA 4.0)."""

import re
from pathlib import Path

import numpy as np
import torch

from ...system.errors import UserError
from ..audio import log_mels
from ..features import LogMel, quantize
from ..identities import TEST, TRAIN, VALIDATION, IdentityDataset

_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<index>[0-9]+)\.wav")
_TEST, _VALIDATION = range(0, 5), range(5, 10)


def load(folder: Path) -> IdentityDataset:
    """Reads `recordings/{digit}_{speaker}_{index}.wav` as log-mels `(N, 1, 49, 40)`, uint8, with the speakers' names.

    The recordings are resampled to 16 kHz, so that the log-mels are comparable with those of the other audio sources;
    their bands above 4 kHz hold next to nothing. The official split has index 0-4 for testing and the others for
    training; of these, 5-9 are validation here.

    Raises `UserError` where there are no recordings, and for a file that is none of them.
    """
    recordings = folder / "recordings"
    if not recordings.is_dir():
        raise UserError(
            f"{recordings} is not there: put the recordings of the Free Spoken Digit Dataset into this folder "
            f"(https://github.com/Jakobovski/free-spoken-digit-dataset)"
        )
    paths = sorted(path for path in recordings.iterdir() if not path.name.startswith("."))
    if not paths:
        raise UserError(f"{recordings} is empty: put the recordings of the Free Spoken Digit Dataset into it")
    digits, speakers, indices = zip(*map(_parts, paths), strict=True)
    identities, identity = np.unique(speakers, return_inverse=True)
    x, scale, offset = quantize(torch.cat(list(log_mels(paths, LogMel()))))
    return IdentityDataset(
        name="fsdd",
        x=x,
        y=torch.tensor(digits, dtype=torch.int64),
        classes=tuple(str(digit) for digit in range(10)),
        split=np.array([_split(index) for index in indices]),
        identity=identity.astype(np.int64),
        identities=tuple(identities.tolist()),
        scale=scale,
        offset=offset,
    )


def _parts(path: Path) -> tuple[int, str, int]:
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise UserError(f"{path} is not named {{digit}}_{{speaker}}_{{index}}.wav: move it elsewhere")
    return int(name["digit"]), name["speaker"], int(name["index"])


def _split(index: int) -> int:
    if index in _TEST:
        return TEST
    return VALIDATION if index in _VALIDATION else TRAIN

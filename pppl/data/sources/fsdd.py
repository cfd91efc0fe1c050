"""Free Spoken Digit Dataset: 3,000 recordings of ten digits by 6 speakers, 8 kHz (Jackson et al., CC BY-SA 4.0)."""

import re
from pathlib import Path

import numpy as np
import torch

from ...system.errors import UserError
from ..audio import log_mels
from ..catalogue import register_source
from ..features import LogMel, quantize
from ..identities import TEST, TRAIN, VALIDATION, IdentityDataset

_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<index>[0-9]+)\.wav")
_TEST, _VALIDATION = range(0, 5), range(5, 10)


@register_source(
    "fsdd",
    file="free-spoken-digit-dataset",
    samples=3_000,
    size="21 MB",
    identities="6 speakers",
    licence="CC BY-SA 4.0 (Jackson et al. 2016)",
    log_mel=LogMel(),
    # GitHub generates its archives on request, so their hash may change. The tag of a repository is lasting.
    origin="the repository (git clone --branch v1.0.10 https://github.com/Jakobovski/free-spoken-digit-dataset)",
)
def load(folder: Path) -> IdentityDataset:
    """Read `recordings/{digit}_{speaker}_{index}.wav` as log-mels `(N, 1, 49, 40)`, uint8, with the speakers' names.

    The recordings are resampled from 8 to 16 kHz, to make the log-mels comparable with those of other audio sources.
    Bands above 4 kHz are almost empty. In the official split indices 0-4 are for testing and the others for training;
    here 5-9 are for validation.

    Raise `UserError` if there are no recordings, or if a file has another name or cannot be read.

    ```python
    dataset = load(data_folder() / "free-spoken-digit-dataset")
    ```
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

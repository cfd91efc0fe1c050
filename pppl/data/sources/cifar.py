"""CIFAR-10 and CIFAR-100, official binary versions: 60,000 colour images, 32x32 (Krizhevsky, 2009)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ...system.errors import UserError
from ..catalogue import register_source
from ..download import Archive
from ..identities import TEST, TRAIN, IdentityDataset

_KRIZHEVSKY = "https://www.cs.toronto.edu/~kriz"  # its hashes are those that torchvision has, too

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """The files and constants of one version.

    - `train`, `test`, `names`: file names of the batches and of the class names.
    - `label_bytes`: label bytes of a record. The last one is the class; CIFAR-100 has the superclass before it.
    - `mean`, `std`: constants that standardize pixels in [0, 1], by channel.
    - `copies`: data set names of copies with other pixels, by the SHA-256 of their test batch.
    """

    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    copies: Mapping[str, str] = field(default_factory=dict)


_CIFAR10 = _Layout(
    train=tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
    test="test_batch.bin",
    names="batches.meta.txt",
    label_bytes=1,
    # The constants of the public pretrained ResNets. They are ImageNet's, not CIFAR-10's own.
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    # A copy with pixels re-encoded as JPEG of quality 75.
    copies={"2696e48ae3fe74d50ecaacc0b8092b89bf95cd3f6471d079f4cbd39a956c18c3": "cifar10_jpeg"},
)
_CIFAR100 = _Layout(
    train=("train.bin",),
    test="test.bin",
    names="fine_label_names.txt",
    label_bytes=2,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)


@register_source(
    "cifar10",
    file="cifar-10-batches-bin",
    samples=60_000,
    size="170 MB",
    identities="none: class subsets",
    licence="no formal licence (Krizhevsky 2009)",
    archives=(Archive(url=f"{_KRIZHEVSKY}/cifar-10-binary.tar.gz", hash="md5:c32a1d4ab5d03f1284b67883e8d87530"),),
)
def load_cifar10(folder: Path) -> IdentityDataset:
    """Read `cifar-10-batches-bin/`: `(60000, 3, 32, 32)` uint8 and 10 classes.

    Scale and offset give `(pixel / 255 - mean) / std` with the usual constants. The official split has no validation
    samples; `split_for` makes some. A copy with pixels from JPEG files is named `cifar10_jpeg`, since its results are
    not comparable with others.

    Raise `UserError` if a file is missing or damaged.

    ```python
    dataset = load_cifar10(data_folder() / "cifar-10-batches-bin")
    ```
    """
    return _load("cifar10", folder, _CIFAR10)


@register_source(
    "cifar100",
    file="cifar-100-binary",
    samples=60_000,
    size="169 MB",
    identities="none: class subsets",
    licence="no formal licence (Krizhevsky 2009)",
    archives=(Archive(url=f"{_KRIZHEVSKY}/cifar-100-binary.tar.gz", hash="md5:03b5dce01913d631647c71ecec9e9cb8"),),
)
def load_cifar100(folder: Path) -> IdentityDataset:
    """Read `cifar-100-binary/`: `(60000, 3, 32, 32)` uint8 and the 100 fine classes; otherwise like `load_cifar10`."""
    return _load("cifar100", folder, _CIFAR100)


def _load(name: str, folder: Path, layout: _Layout) -> IdentityDataset:
    classes = tuple(_text(folder / layout.names, name).split())
    batches = [_records(folder / file, layout.label_bytes, name) for file in (*layout.train, layout.test)]
    y = np.concatenate([records[:, layout.label_bytes - 1] for records in batches]).astype(np.int64)
    if y.max() >= len(classes):
        raise UserError(f"{folder} is damaged: label {y.max()} of {len(classes)} classes; {_again(folder, name)}")
    x = np.concatenate([records[:, layout.label_bytes :] for records in batches]).reshape(-1, 3, 32, 32)
    split = np.full(len(y), TRAIN, np.uint8)
    split[len(y) - len(batches[-1]) :] = TEST
    mean, std = np.array(layout.mean), np.array(layout.std)
    return IdentityDataset(
        name=layout.copies.get(hashlib.sha256(batches[-1].data).hexdigest(), name),
        x=torch.from_numpy(x),
        y=torch.from_numpy(y),
        classes=classes,
        split=split,
        scale=torch.from_numpy((1 / (255 * std)).astype(np.float32)),
        offset=torch.from_numpy((-mean / std).astype(np.float32)),
        standardized=True,
    )


def _records(path: Path, label_bytes: int, name: str) -> np.ndarray:
    """Read the records of a batch, `(n, label_bytes + 3072)` uint8."""
    size = label_bytes + _PIXELS
    if not path.is_file():
        raise UserError(f"{path} is missing: {_again(path.parent, name)}")
    records = np.fromfile(path, np.uint8)
    if len(records) == 0 or len(records) % size:
        raise UserError(
            f"{path} is damaged: {len(records):,} bytes are not a whole number of records; {_again(path.parent, name)}"
        )
    return records.reshape(-1, size)


def _text(path: Path, name: str) -> str:
    if not path.is_file():
        raise UserError(f"{path} is missing: {_again(path.parent, name)}")
    return path.read_text(encoding="utf-8")


def _again(folder: Path, name: str) -> str:
    return f"remove {folder} and run `pppl data prepare {name}`"

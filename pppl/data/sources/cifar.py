"""CIFAR-10 and CIFAR-100, official binary versions: 60,000 colour images, 32x32 (Krizhevsky, 2009)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ...system.errors import UserError
from ..identities import TEST, TRAIN, IdentityDataset

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Files of one version; the last of `label_bytes` is the class, before it comes the group of classes.

    - `copies`: names of copies with other pixels, by the SHA-256 of their test batch.
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
    # What the public pretrained ResNets were trained with; they are ImageNet's, not CIFAR-10's own.
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    # Pixels re-encoded as JPEG of quality 75.
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


def load_cifar10(folder: Path) -> IdentityDataset:
    """Reads `cifar-10-batches-bin/`: `(60000, 3, 32, 32)` uint8 and 10 classes.

    A copy whose pixels went through JPEG once is named `cifar10_jpeg`, since its results compare with no others. Scale
    and offset give `(pixel / 255 - mean) / std` with the usual constants. The official split has no validation
    samples (`split_for` makes some). Raises `UserError` where a file is missing or damaged.
    """
    return _load("cifar10", folder, _CIFAR10)


def load_cifar100(folder: Path) -> IdentityDataset:
    """Reads `cifar-100-binary/`: `(60000, 3, 32, 32)` uint8 and the 100 fine classes; else like `load_cifar10`."""
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
    """`(n, label_bytes + 3072)` uint8."""
    size = label_bytes + _PIXELS
    if not path.is_file():
        raise UserError(f"{path} is missing: {_again(path.parent, name)}")
    records = np.fromfile(path, np.uint8)
    if len(records) == 0 or len(records) % size:
        raise UserError(f"{path} is damaged: {len(records):,} bytes are no whole records; {_again(path.parent, name)}")
    return records.reshape(-1, size)


def _text(path: Path, name: str) -> str:
    if not path.is_file():
        raise UserError(f"{path} is missing: {_again(path.parent, name)}")
    return path.read_text(encoding="utf-8")


def _again(folder: Path, name: str) -> str:
    return f"remove {folder} and run `pppl data prepare {name}`"

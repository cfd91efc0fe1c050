"""Handwritten digits, 8x8, 1,797 samples, bundled with scikit-learn (UCI Optical Recognition, the test part)."""

from pathlib import Path

import numpy as np
import torch

from ..catalogue import register_source
from ..identities import TEST, TRAIN, VALIDATION, IdentityDataset


@register_source(
    "digits",
    samples=1797,
    size="bundled with scikit-learn",
    identities="none: class subsets",
    licence="CC BY 4.0 (UCI 80: Alpaydin, Kaynak 1998)",
)
def load(_: Path | None = None) -> IdentityDataset:
    """Read the digits, scaled to [0, 1], with a fixed split of each class: 60 % train, 15 % validation, 25 % test.

    The source has no writer labels and no official split.

    >>> load().x.shape
    torch.Size([1797, 1, 8, 8])
    """
    from sklearn.datasets import load_digits

    pixels, labels = (np.asarray(array) for array in load_digits(return_X_y=True))
    split = np.full(len(labels), TRAIN)
    rng = np.random.default_rng(0)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        train, validation = round(0.60 * len(rows)), round(0.75 * len(rows))
        split[rows[train:validation]] = VALIDATION
        split[rows[validation:]] = TEST
    return IdentityDataset(
        name="digits",
        x=torch.from_numpy((pixels.reshape(-1, 8, 8) / 16).astype(np.float32))[:, None],  # (N, 1, 8, 8)
        y=torch.from_numpy(labels.astype(np.int64)),
        classes=tuple(str(label) for label in np.unique(labels)),
        split=split,
        standardized=True,
    )

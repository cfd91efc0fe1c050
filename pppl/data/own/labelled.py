"""A data set from samples with a text for each: its class, person, recording and split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...system.errors import UserError, unknown
from ..identities import TEST, TRAIN, VALIDATION, IdentityDataset
from ..precision import PART, in_single_precision
from .media import Media

SPLITS = {"train": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "dev": VALIDATION}
SPLITS |= {"test": TEST}


class OwnData(NamedTuple):
    """A data set that a user brought, and the names of its samples: files, or rows of a table."""

    dataset: IdentityDataset
    samples: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What a folder or a table says of each sample.

    - `classes`: `(N,)` texts, or numbers to predict, float64.
    - `names`: names of the classes in their order; empty if they follow from `classes`.
    - `people`, `recordings`, `splits`: `(N,)` texts; None if nothing is said.
    """

    classes: Sequence[str] | np.ndarray
    names: Sequence[str] = ()
    people: Sequence[str] | None = None
    recordings: Sequence[str] | None = None
    splits: Sequence[str] | None = None


def make_dataset(
    name: str, where: str, media: Media, labels: Labels, samples: Sequence[str], about: Sequence[str]
) -> OwnData:
    """Return a data set of samples and what is said of each.

    **Arguments:**

    - `name`: name of the data set in tables.
    - `where`: the file or folder, for messages.
    - `samples`: `(N,)`, what messages call each sample.
    - `about`: lines for people about how the data were read.

    Raise `UserError` if values are not finite, if a class or a person has no name or one that tables cannot hold, if
    there are fewer than two classes, or if a split is unknown or no sample is for training.
    """
    _refuse_not_finite(media.x, samples)
    if isinstance(labels.classes, np.ndarray):
        _refuse_not_finite(torch.from_numpy(labels.classes)[:, None], samples, "the number to predict")
        y, classes = torch.from_numpy(labels.classes.astype(np.float32))[:, None], ()
    else:
        index, classes = _numbered(where, "class", labels.classes, samples, labels.names)
        y = torch.from_numpy(index)
        if len(set(index.tolist())) < 2:
            raise UserError(f"{where} has samples of one class, {labels.classes[0]!r}: give those of another, too")
    identity, identities = None, ()
    if labels.people is not None:
        identity, identities = _numbered(where, "person", labels.people, samples)
    recording = None
    if labels.recordings is not None:
        pairs = [*zip(labels.people or labels.recordings, labels.recordings, strict=True)]
        numbers = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
        recording = np.array([numbers[pair] for pair in pairs])
    x, center = in_single_precision(media.x)
    dataset = IdentityDataset(
        name=name,
        x=x,
        y=y,
        classes=classes,
        task="classification" if classes else "regression",
        split=None if labels.splits is None else _split(where, labels.splits, samples),
        identity=identity,
        identities=identities,
        recording=recording,
        scale=media.scale,
        offset=media.offset,
        center=center,
        log_mel=media.log_mel,
        about=(*about, *media.notes),
    )
    return OwnData(dataset, samples)


def _numbered(
    where: str, kind: str, texts: Sequence[str], samples: Sequence[str], names: Sequence[str] = ()
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the index of each text, `(N,)` int64, and the names: those given, or all texts in their natural order."""
    for text, sample in zip(texts, samples, strict=True):
        if not text.strip():
            raise UserError(f"{sample} has no {kind}: give one, or leave it out")
        if "+" in text or ":" in text:
            raise UserError(f"{where}: rename {kind} {text!r}: + and : join names in tables")
    names = names or sorted(set(texts), key=_naturally)
    index = {name: number for number, name in enumerate(names)}
    return np.array([index[text] for text in texts], np.int64), tuple(names)


def _naturally(name: str) -> tuple[bool, int, str]:
    """Return what names are sorted by: whole numbers by their value, before all others."""
    number = name.isascii() and name.isdigit()
    return (not number, int(name) if number else 0, name)


def _split(where: str, texts: Sequence[str], samples: Sequence[str]) -> np.ndarray:
    parts = [text.strip().casefold() for text in texts]
    for part, text, sample in zip(parts, texts, samples, strict=True):
        if part not in SPLITS:
            raise UserError(f"{sample}: {unknown('split', text, SPLITS)}")
    split = np.array([SPLITS[part] for part in parts], np.uint8)
    if not (split == TRAIN).any():
        raise UserError(f"{where} has no sample whose split is train: give some, or leave the split out")
    return split


def _refuse_not_finite(x: Tensor, samples: Sequence[str], what: str = "") -> None:
    if not x.is_floating_point():
        return
    most = torch.finfo(torch.float32).max
    parts = [(part.reshape(len(part), -1).abs() <= most).all(1) for part in x.split(PART)]
    bad = (~torch.cat(parts)).nonzero()[:, 0].tolist()
    if bad:
        of_what = f", {what}," if what else ""
        raise UserError(
            f"{len(bad):,} of {len(x):,} samples{of_what} hold no number, NaN or infinite values, the first is "
            f"{samples[bad[0]]}: give finite ones, or leave the samples out"
        )

"""Descriptions of data in one line, and warnings about likely mistakes: swapped axes, names that hardly differ."""

import unicodedata
from collections.abc import Sequence

from .identities import IdentityDataset

# The last axis of an image is likely to be its channels if it has at most `_FEW` values. The last axis of a series is
# likely to be its channels if the axis before is at least `_TIMES` as long.
_FEW, _TIMES = 4, 4
_SQUARE = 8  # a uint8 series with as many steps as channels is likely to be an image from this size


def describe(shape: Sequence[int], count: int, *, log_mel: bool = False, **others: int) -> str:
    """Describe data in one line.

    **Arguments:**

    - `shape`: shape of one sample, `(C, T)` or `(C, H, W)`.
    - `count`: number of samples.
    - `log_mel`: whether samples are log-mels of recordings, whose shape is that of an image.
    - `others`: numbers of `people` and `classes`; 0 is left out.

    >>> describe((3, 128), 2500, people=20, classes=6)
    '2,500 samples, 3 channels x 128 steps, 20 people, 6 classes'
    """
    channels, *rest = shape
    if len(rest) == 1:
        extent = f"{rest[0]:,} {_plural('step', rest[0])}"
    else:
        extent = f"{rest[0]:,} frames x {rest[1]:,} bands" if log_mel else f"{rest[0]:,} x {rest[1]:,} pixels"
    parts = [f"{count:,} {_plural('sample', count)}", f"{channels:,} {_plural('channel', channels)} x {extent}"]
    names = {"people": "person", "classes": "class"}
    parts += [f"{each:,} {names[name] if each == 1 else name}" for name, each in others.items() if each]
    return ", ".join(parts)


def describe_dataset(dataset: IdentityDataset) -> str:
    """Describe a data set in one line, as `describe` does.

    >>> from pppl.data import load_dataset
    >>> describe_dataset(load_dataset("digits"))
    '1,797 samples, 1 channel x 8 x 8 pixels, 10 classes'
    """
    people = 0 if dataset.identity is None else len(set(dataset.identity.tolist()))
    numbers = {"people": people, "classes": len(dataset.classes)}
    return describe(dataset.input_shape, len(dataset.y), log_mel=dataset.log_mel is not None, **numbers)


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def find_odd_shape(shape: Sequence[int], *, bytes_: bool = False) -> str:
    """Explain why the axes of a sample look swapped; return an empty text if they do not.

    **Arguments:**

    - `shape`: shape of one sample, `(C, T)` or `(C, H, W)`.
    - `bytes_`: whether the values are uint8, as in images.

    >>> find_odd_shape((128, 3))
    '128 channels of 3 steps: if it is steps x channels, write x.transpose(0, 2, 1)'
    """
    if len(shape) == 2:
        channels, steps = shape
        if channels >= _TIMES * steps:
            return f"{channels} channels of {steps} steps: if it is steps x channels, write x.transpose(0, 2, 1)"
        if bytes_ and channels == steps >= _SQUARE:
            return f"{channels} channels of {steps} steps: if these are grey images, write x[:, None]"
        return ""
    channels, height, width = shape
    if width <= _FEW < min(channels, height):
        return (
            f"{channels} channels of {height} x {width} pixels: if it is height x width x channels, "
            "write x.transpose(0, 3, 1, 2)"
        )
    return ""


def are_alike(names: Sequence[str]) -> tuple[str, str] | None:
    """Return the first two names that differ only in spaces, case or the encoding of a letter; None if there are none.

    >>> are_alike(["left", "right", "Left "])
    ('left', 'Left ')
    """
    seen: dict[str, str] = {}
    for name in names:
        folded = "".join(unicodedata.normalize("NFKC", name).casefold().split())
        if folded in seen:
            return seen[folded], name
        seen[folded] = name
    return None


def find_oddities(dataset: IdentityDataset) -> list[str]:
    """List likely mistakes in a data set, a line each: swapped axes, names that hardly differ."""
    odd = [] if not (axes := find_odd_shape(dataset.input_shape, bytes_=dataset.x.element_size() == 1)) else [axes]
    for names, kind in ((dataset.classes, "classes"), (dataset.identities, "people")):
        if (pair := are_alike(names)) is not None:
            odd.append(f"the {kind} {pair[0]!r} and {pair[1]!r} differ by spaces or case only: are they the same?")
    return odd

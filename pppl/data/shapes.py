"""What was read of a file, in a line, and what about it looks like a slip."""

import unicodedata
from collections.abc import Sequence

from .identities import IdentityDataset

# An axis of so few values at the end is no time and no width, where the one before is so many times as long.
_FEW, _TIMES = 4, 4
_SQUARE = 8  # from which on a series as long as it has channels is taken for an image


def describe(shape: Sequence[int], count: int, **others: int) -> str:
    """Say in a line what was read: `2,500 samples, 128 channels x 3 steps, 20 people, 6 classes`.

    **Arguments:**

    - `shape`: of one sample, `(C, T)` or `(C, H, W)`.
    - `others`: how many people and classes there are; 0 is left out.
    """
    channels, *rest = shape
    extent = f"{rest[0]:,} {_plural('step', rest[0])}" if len(rest) == 1 else f"{rest[0]:,} x {rest[1]:,} pixels"
    parts = [f"{count:,} {_plural('sample', count)}", f"{channels:,} {_plural('channel', channels)} x {extent}"]
    names = {"people": "person", "classes": "class"}
    parts += [f"{each:,} {names[name] if each == 1 else name}" for name, each in others.items() if each]
    return ", ".join(parts)


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def find_odd_shape(shape: Sequence[int], *, bytes_: bool = False) -> str:
    """Say why the axes of a sample, `(C, T)` or `(C, H, W)`, look swapped; empty where they do not.

    **Arguments:**

    - `bytes_`: whether values are uint8, as of images.
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
    """Find two names that differ by spaces, case or the way that a letter is encoded only."""
    seen: dict[str, str] = {}
    for name in names:
        folded = "".join(unicodedata.normalize("NFKC", name).casefold().split())
        if folded in seen:
            return seen[folded], name
        seen[folded] = name
    return None


def find_oddities(dataset: IdentityDataset) -> list[str]:
    """List what about a data set looks like a slip: swapped axes, names that hardly differ."""
    odd = [] if not (axes := find_odd_shape(dataset.input_shape, bytes_=dataset.x.element_size() == 1)) else [axes]
    for names, kind in ((dataset.classes, "classes"), (dataset.identities, "people")):
        if (pair := are_alike(names)) is not None:
            odd.append(f"the {kind} {pair[0]!r} and {pair[1]!r} differ by spaces or case only: are they the same?")
    return odd

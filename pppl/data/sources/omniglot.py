"""Omniglot: 1,623 handwritten characters of 50 alphabets, each by 20 drawers (Lake et al., 2015, MIT)."""

from pathlib import Path

import numpy as np

from ...system import progress
from ...system.errors import UserError
from ...system.files import replacing
from ..identities import TEST, TRAIN

_SIDE = 28  # as the few-shot papers use it
_PARTS = {"images_background": TRAIN, "images_evaluation": TEST}


def convert(folder: Path, destination: Path) -> None:
    """Writes the unpacked official archives, `<part>/<alphabet>/<character>/<number>_<drawer>.png`, as one `.npz` file.

    Images are 28x28 uint8 with ink 255, averaged from the 105x105 in black on white. Classes are in the order of the
    numbers, which run through both parts. The split is that of the archives, background for training and evaluation for
    testing, whose characters are different ones. Drawer 1 of one alphabet is not drawer 1 of another.

    Raises `UserError` where the folder is not those archives, whole.
    """

    paths, split = [], []
    for part, value in _PARTS.items():
        found = sorted((folder / part).glob("*/*/[0-9]*_[0-9]*.png"), key=lambda path: path.name)
        paths += found
        split += [value] * len(found)
    characters, y = np.unique([path.stem.split("_")[0] for path in paths], return_inverse=True)
    drawers, identity = np.unique([path.stem.split("_")[1] for path in paths], return_inverse=True)
    if len(set(split)) < len(_PARTS) or len(characters) * len(drawers) != len(paths):
        raise UserError(f"{folder} is no whole Omniglot: not every character of both parts has all drawings")
    images = np.empty((len(paths), 1, _SIDE, _SIDE), np.uint8)
    for image, path in zip(images, progress.bar(paths, unit=" drawings", leave=False), strict=True):
        image[0] = _ink(path)
    with replacing(destination) as temporary:
        np.savez(
            temporary,
            x=images,
            y=y.astype(np.int64),
            identity=identity.astype(np.int64),
            split=np.array(split, np.uint8),
            classes=np.array([f"character{character}" for character in characters]),
            identities=np.array([f"drawer{drawer}" for drawer in drawers]),
            scale=np.array([1 / 255.0], np.float32),
            offset=np.zeros(1, np.float32),
        )


def _ink(path: Path) -> np.ndarray:
    """`(28, 28)` uint8."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        return np.asarray(ImageOps.invert(image.convert("L")).resize((_SIDE, _SIDE), Image.Resampling.BOX))

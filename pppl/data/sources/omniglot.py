"""Omniglot: 1,623 handwritten characters of 50 alphabets, each by 20 drawers (Lake et al., 2015, MIT)."""

import dataclasses
from pathlib import Path

import numpy as np

from ...system import progress
from ...system.errors import UserError
from ...system.files import replacing
from ..catalogue import register_source
from ..download import Archive
from ..identities import TEST, TRAIN, IdentityDataset
from ..npz import load_npz

_LAKE = "https://github.com/brendenlake/omniglot/raw/master/python"

_SIDE = 28  # the size in the few-shot papers
_PARTS = {"images_background": TRAIN, "images_evaluation": TEST}


def convert(folder: Path, destination: Path) -> None:
    """Convert the unpacked official archives, `<part>/<alphabet>/<character>/<number>_<drawer>.png`, to an `.npz` file.

    Images are 28x28 uint8 with ink 255, averaged from originals of 105x105 pixels in black on white. Classes are sorted
    by their number, which is unique over both parts. The split is that of the archives: background is for training and
    evaluation, with other characters, for testing. Drawer 1 of one alphabet is not drawer 1 of another.

    Raise `UserError` if the folder does not hold both archives completely.

    ```python
    convert(Path("unpacked"), data_folder() / "omniglot.npz")
    ```
    """
    paths, split = [], []
    for part, value in _PARTS.items():
        found = sorted((folder / part).glob("*/*/[0-9]*_[0-9]*.png"), key=lambda path: path.name)
        paths += found
        split += [value] * len(found)
    characters, y = np.unique([path.stem.split("_")[0] for path in paths], return_inverse=True)
    drawers, identity = np.unique([path.stem.split("_")[1] for path in paths], return_inverse=True)
    if len(set(split)) < len(_PARTS) or len(characters) * len(drawers) != len(paths):
        raise UserError(f"{folder} is not the complete Omniglot, drawings are missing: unpack both archives again")
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
    """Read a drawing, `(28, 28)` uint8, with ink 255."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        return np.asarray(ImageOps.invert(image.convert("L")).resize((_SIDE, _SIDE), Image.Resampling.BOX))


@register_source(
    "omniglot",
    file="omniglot.npz",
    samples=32_460,
    size="16 MB",
    identities="20 drawers per alphabet: class subsets",
    licence="MIT (Lake, Salakhutdinov, Tenenbaum 2015)",
    archives=(
        Archive(url=f"{_LAKE}/images_background.zip", hash="md5:68d2efa1b9178cc56df9314c21c6e718"),
        Archive(url=f"{_LAKE}/images_evaluation.zip", hash="md5:6b91aef0f799c5bb55b94e3f2daec811"),
    ),
    convert=convert,
)
def load(path: Path) -> IdentityDataset:
    """Read Omniglot without person labels.

    A drawer's number stands for a different person in each alphabet, and each person drew each character only once.
    """
    return dataclasses.replace(load_npz(path), identity=None, identities=())

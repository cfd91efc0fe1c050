"""A folder of recordings, images or arrays whose sub-folders name classes, people and splits."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import torch

from ...config import DataSettings
from ...system.errors import UserError
from ..arrays import read_npy
from ..samples import file_kind
from .labelled import SPLITS, Labels, OwnData, make_dataset
from .media import Media, read_media, refuse_settings

_LAYOUTS = {1: "class/file", 2: "person/class/file"}
_DEEPEST = 3  # folders: split, person and class
_MEANT = "class/file or person/class/file, either below train, validation and test or not"


def read_sample_folder(folder: Path, data: DataSettings) -> OwnData:
    """Read a folder `class/file` or `person/class/file`, each file a sample.

    The depth of the files tells which it is. Folders `train`, `validation` or `val`, and `test` above them are the
    split. Files are recordings, images, or `.npy` arrays `(T,)`, `(C, T)` or `(C, H, W)`. Hidden files do not count.

    **Arguments:**

    - `data`: its `size` is what images are scaled to.

    Raise `UserError` if files lie at several depths, are of several kinds, cannot be read or differ in shape, or as
    `make_dataset` does.

    ```python
    read_sample_folder(Path("pets"), DataSettings()).dataset.classes  # pets/cat/1.png, pets/dog/1.png
    ```
    """
    inside = sorted(_find_files(folder))
    if not inside:
        raise UserError(f"{folder} holds no files: put samples into it, {_MEANT}")
    depth = _depth(folder, inside)
    with_split = {path.parts[0].casefold() for path in inside} <= SPLITS.keys() and depth > 1
    layout = _LAYOUTS.get(depth - with_split)
    if layout is None:
        raise _too_deep(folder / inside[0])
    files = [folder / path for path in inside]
    kinds = {file_kind(path): path for path in reversed(files)}
    if len(kinds) > 1:
        first, second = sorted(kinds.values())[:2]
        raise UserError(f"{folder} mixes {first} and {second}: give recordings, images or .npy files")
    (kind,) = kinds
    if kind == "npz":
        raise UserError(f"{files[0]} is a data set by itself: give its path, or .npy files in its place")
    media = _read_arrays(files, data) if kind == "npy" else read_media(kind, files, data)
    labels = Labels(
        classes=[path.parts[-2] for path in inside],
        people=[path.parts[-3] for path in inside] if layout == _LAYOUTS[2] else None,
        splits=[path.parts[0] for path in inside] if with_split else None,
    )
    about = f"read as {'split/' * with_split}{layout}, {len(files):,} {_PLURAL[kind]}"
    return make_dataset(folder.resolve().name, str(folder), media, labels, [*map(str, files)], [about])


_PLURAL = {"audio": "recordings", "image": "images", "npy": "arrays"}


def _find_files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder, relative to it, without hidden ones.

    Raise `UserError` for a file that lies too deep, before all of a disk is listed, or if a folder cannot be read.
    """

    def refuse(error: OSError) -> NoReturn:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error

    for top, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = [Path(top, name) for name in files if not name.startswith(".")]
        for path in shown:
            yield path.relative_to(folder)
        if shown and len(shown[0].relative_to(folder).parts) > _DEEPEST + 1:
            raise _too_deep(shown[0])


def _too_deep(path: Path) -> UserError:
    return UserError(f"{path} lies too deep: give {_MEANT}")


def _depth(folder: Path, files: Sequence[Path]) -> int:
    """Return how many folders deep all files lie. Raise `UserError` if they differ, or if one is in no sub-folder."""
    depths = [len(path.parts) - 1 for path in files]
    usual, _ = Counter(depths).most_common(1)[0]
    for path, depth in zip(files, depths, strict=True):
        if depth != usual:
            other = files[depths.index(usual)]
            raise UserError(
                f"{folder / path} lies {depth} folders deep and {folder / other} {usual}: move one, so that all are "
                f"{_MEANT}"
            )
    if usual == 0:
        raise UserError(f"{folder / files[0]} is in no sub-folder, which would name its class: give {_MEANT}")
    return usual


def _read_arrays(files: Sequence[Path], data: DataSettings) -> Media:
    refuse_settings(data, "size")
    arrays = [read_npy(file, torch.float64) for file in files]
    arrays = [array[None] if array.ndim == 1 else array for array in arrays]
    usual, _ = Counter(tuple(array.shape) for array in arrays).most_common(1)[0]
    for file, array in zip(files, arrays, strict=True):
        if (shape := tuple(array.shape)) != usual:
            raise UserError(f"{file} has shape {shape}, most have {usual}: cut or pad all to one shape")
    if len(usual) not in (2, 3) or 0 in usual:
        raise UserError(f"{files[0]} has shape {usual}: give one sample in each file, (T,), (C, T) or (C, H, W)")
    return Media(torch.stack(arrays))

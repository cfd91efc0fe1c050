"""Small data of a user's, written as users do."""

from pathlib import Path

import numpy as np
import soundfile
from PIL import Image


def write_image(path: Path, seed: int = 0, *, size: tuple[int, int] = (8, 6), mode: str = "L") -> Path:
    """Write random pixels; `size` is width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*reversed(size), 3) if mode == "RGB" else tuple(reversed(size))
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels, mode).save(path)
    return path


def write_wav(path: Path, seed: int = 0, *, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, round(8000 * seconds))
    soundfile.write(path, noise, 8000)
    return path


def write_people(folder: Path, *, people: int = 6, classes: int = 3, each: int = 4) -> Path:
    """Write images as `person/class/file`."""
    for at in range(people * classes * each):
        person, of_class, number = np.unravel_index(at, (people, classes, each))
        write_image(folder / f"p{person}" / "abc"[of_class] / f"{number}.png", at)
    return folder


def long_csv(path: Path, *, people: int = 6, windows: int = 8, steps: int = 5) -> Path:
    """Write a sensor's series: a row for each time step, and windows that are numbered anew for each person."""
    rng = np.random.default_rng(0)
    rows = ["time,subject,window,activity,ax,ay"]
    for person, window, _ in np.ndindex(people, windows, steps):
        ax, ay = rng.normal(size=2).round(3)
        rows.append(f"{len(rows)},s{person},{window},{'walk' if window % 2 else 'sit'},{ax},{ay}")
    path.write_text("\n".join(rows) + "\n")
    return path

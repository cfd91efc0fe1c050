"""Reader of image files: pixels as a viewer shows them, for any depth, orientation, palette or colour profile."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..system.errors import UserError
from .stored_file import AnyFile

# Formats that Pillow decodes itself; for some others it starts external programs.
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "TIFF")
_MOST_PIXELS = 50_000_000  # with transparency they need half a GB of memory
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT, _ORIENTATION = 258, 262, 339, 274  # TIFF tags
_WHITE_IS_ZERO, _SIGNED = 0, 2
_ON_ITS_SIDE = range(5, 9)  # orientations that swap width and height
_VIEWERS_GAMMA = 2.2
_DARK = 1 / 8  # fraction of full scale; a file that stays below it holds fewer bits than its depth allows
_SQUEEZED = 1.1  # ratio of two aspect ratios from which there is a note


def read_image(path: AnyFile, channels: int, size: tuple[int, int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read an image of any depth as a viewer shows it: upright, opaque and in sRGB.

    Transparent parts become white. If the file holds several images, the first is taken.

    **Arguments:**

    - `channels`: 1 for grey, 3 for red, green and blue.
    - `size`: width and height; an image of another size is scaled.

    **Returns:** float32 `(height, width, channels)`, black is 0 and white 255; and notes, a part of a sentence each.

    Raise `UserError` if the file cannot be read, if its header says that it has too many pixels, or if the values of
    black and white are unknown.

    ```python
    pixels, notes = read_image(Path("cat.png"), 3, (32, 32))  # (32, 32, 3)
    ```
    """
    with _opened(path) as image:
        return _shown(path, image, channels, size)


def probe_image(path: AnyFile) -> tuple[int, tuple[int, int]]:
    """Return the channels of an image, 1 if it is grey and else 3, and its width and height as a viewer shows it.

    Raise `UserError` as `read_image` does.
    """
    with _opened(path) as image:
        channels = 1 if image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I") else 3
        on_its_side = _orientation(image) in _ON_ITS_SIDE
        return channels, (image.height, image.width) if on_its_side else (image.width, image.height)


@contextmanager
def _opened(path: AnyFile) -> Iterator[Any]:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about unusual files but reads them
            # Given a name, Pillow maps the file into memory, and then reads the rows of a rotated TIFF wrongly.
            with path.open("rb") as stream, Image.open(stream, formats=_FORMATS) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise _too_large(path)
                yield image
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except Exception as error:  # each format's decoder raises errors of its own
        unknown = isinstance(error, UnidentifiedImageError)  # its text says no more than the path
        reason = "of no known format" if unknown else str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is no image that can be read ({reason}): give a png or jpeg file") from error


def _too_large(path: AnyFile) -> UserError:
    return UserError(f"{path} has too many pixels, more than {_MOST_PIXELS / 1e6:.0f} million: make it smaller")


def _shown(path: AnyFile, image: Any, channels: int, size: tuple[int, int]) -> tuple[np.ndarray, tuple[str, ...]]:
    notes: list[str] = []
    if image.format != "MPO" and getattr(image, "is_animated", False):  # a camera's MPO file holds previews, too
        notes.append("has several images, the first is taken")
    if image.mode == "L" and _SIGNED in getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, ()):
        raise UserError(f"{path} holds signed integers, whose value of black is unknown: save it with unsigned ones")
    image.load()
    exponent = _exponent(image, notes)
    if image.mode.startswith(("I", "F")):
        picture, full = _turned(image, _deep(path, image, notes)), 1.0
    else:
        picture, full = _colours(_opaque(_turned(image, image), notes), image, notes), 255.0
        picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != size:
        notes.append(_scaled(picture.size, size))
        picture = picture.resize(size, _bilinear())
    values = np.asarray(picture, np.float32).reshape(size[1], size[0], -1)
    if (exponent, full) != (1.0, 255.0):
        values = 255 * (values / full).clip(0, 1) ** exponent
    return np.broadcast_to(values, (*values.shape[:2], channels)).astype(np.float32), tuple(notes)


def _bilinear() -> Any:
    from PIL import Image

    return Image.Resampling.BILINEAR


def _scaled(given: tuple[int, int], taken: tuple[int, int]) -> str:
    aspects = sorted((given[0] / given[1], taken[0] / taken[1]))
    squeezed = ", which squeezes it: cut it first" if aspects[1] > _SQUEEZED * aspects[0] else ""
    return f"is {given[0]} x {given[1]}, made {taken[0]} x {taken[1]}{squeezed}"


def _turned(image: Any, picture: Any) -> Any:
    """Return the picture turned upright by the orientation tag of the image, if it has one."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    orientation = _orientation(image)
    return picture.transpose(turns[orientation]) if orientation in turns else picture


def _orientation(image: Any) -> Any:
    """Return the orientation tag of an image; None if it has none that can be read."""
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # damaged metadata, which viewers ignore
        return None


def _exponent(image: Any, notes: list[str]) -> float:
    """Return the exponent for values in [0, 1] that applies the file's gamma; 1 if it has a profile or no gamma."""
    gamma = image.info.get("gamma", 0.0)
    if not 0.05 < gamma < 20 or {"srgb", "icc_profile"} & set(image.info):
        return 1.0
    exponent = 1 / (gamma * _VIEWERS_GAMMA)
    if abs(exponent - 1) < 0.05:
        return 1.0
    notes.append(f"has a gamma of {gamma:.3g}, which is applied")
    return exponent


def _deep(path: AnyFile, image: Any, notes: list[str]) -> Any:
    """Convert a grey image of more than 8 bits to floats in [0, 1], mode `F`.

    Raise `UserError` if its values of black and white are unknown.
    """
    from PIL import Image

    tags = getattr(image, "tag_v2", {})
    values = np.asarray(image).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    whole = image.mode.startswith("I;") or (image.mode == "I" and image.format == "PNG")
    if not whole and not (image.mode == "F" and low >= 0 and high <= 1):
        kind = "floats" if image.mode == "F" else "whole numbers of 32 bits or with a sign"
        raise UserError(
            f"{path} holds {kind} from {low:.4g} to {high:.4g}, and the values of black and white are unknown: "
            "save it with 8 or 16 bits, or as floats from 0 to 1"
        )
    full = float((1 << min(tags.get(_BITS, (16,))[0], 16)) - 1) if whole else 1.0
    if high < _DARK * full:
        notes.append(f"reaches {high / full:.1%} of its depth, which viewers show nearly black: rescale it")
    if (transparent := image.info.get("transparency")) is not None and (hidden := values == transparent).any():
        notes.append("is partly transparent, on white")
        values[hidden] = full
    values /= full
    return Image.fromarray(1 - values if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else values)


def _opaque(image: Any, notes: list[str]) -> Any:
    """Put the image on a white page if parts of it are transparent."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image
    notes.append("is partly transparent, on white")
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=alpha)
    return page


def _colours(picture: Any, image: Any, notes: list[str]) -> Any:
    """Convert the picture to sRGB by the colour profile of the image, if it has one."""
    if not (profile := image.info.get("icc_profile")):
        return picture
    from PIL import ImageCms

    plain = {"1": "L", "LA": "L", "PA": "RGB", "P": "RGB", "RGBA": "RGB"}
    picture = picture.convert(plain.get(picture.mode, picture.mode))
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(own).casefold():
            return picture
        made = ImageCms.profileToProfile(picture, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return picture if made is None else made
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("has a colour profile that cannot be applied, its colours are taken as they are")
        return picture

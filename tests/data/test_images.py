"""An image is what every viewer shows, whatever its format carries."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from pppl.data.images import read_image
from pppl.system.errors import UserError

GREY = (np.arange(48).reshape(8, 6) * 5).astype(np.uint8)
COLOURS = np.random.default_rng(0).integers(256, size=(8, 6, 3), dtype=np.uint8)
SIZE = (6, 8)


def _read(path: Path, channels: int = 1) -> np.ndarray:
    """What is read where nothing is odd."""
    values, notes = read_image(path, channels, SIZE)
    assert notes == ()
    assert values.shape == (8, 6, channels)
    return values[..., 0] if channels == 1 else values


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("8.png", GREY),
        ("16.png", GREY.astype(np.uint16) * 257),
        ("16.tif", GREY.astype(np.uint16) * 257),
        ("big-endian.tif", (GREY.astype(np.uint16) * 257).astype(">u2")),
        ("floats.tif", GREY.astype(np.float32) / 255),
    ],
)
def test_the_same_picture_of_any_depth(name: str, picture: np.ndarray, tmp_path: Path):
    Image.fromarray(picture).save(tmp_path / name)
    np.testing.assert_allclose(_read(tmp_path / name), GREY, atol=1e-3)
    np.testing.assert_allclose(_read(tmp_path / name, 3), np.stack([GREY] * 3, -1), atol=1e-3)


def test_more_than_8_bits_are_kept_and_scaled(tmp_path: Path):
    fine = np.linspace(0, 65535, 48).astype(np.uint16).reshape(8, 6)
    Image.fromarray(fine).save(tmp_path / "fine.png")
    np.testing.assert_allclose(_read(tmp_path / "fine.png"), fine / 257, atol=1e-3)
    Image.fromarray(fine.repeat(2, 0).repeat(2, 1)).save(tmp_path / "large.png")
    values, (note,) = read_image(tmp_path / "large.png", 1, SIZE)
    assert note == "is 12 x 16, made 6 x 8"
    np.testing.assert_allclose(values[1:-1, 1:-1, 0], fine[1:-1, 1:-1] / 257, atol=8)


def test_white_is_zero_where_the_file_says_so(tmp_path: Path):
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "negative.tif")
    content = bytearray((tmp_path / "negative.tif").read_bytes())
    place = content.index(struct.pack("<HHI", 262, 3, 1))
    content[place + 8] = 0
    (tmp_path / "negative.tif").write_bytes(content)
    np.testing.assert_allclose(_read(tmp_path / "negative.tif"), 255 - GREY.astype(float), atol=1e-3)
    Image.fromarray(255 - GREY).save(tmp_path / "eight.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(_read(tmp_path / "eight.tif"), 255 - GREY)


_STORED = {  # what a camera stores of an upright picture that it says to be turned
    1: GREY,
    2: GREY[:, ::-1],
    3: GREY[::-1, ::-1],
    4: GREY[::-1],
    5: GREY.T,
    6: np.rot90(GREY),
    7: GREY[::-1, ::-1].T,
    8: np.rot90(GREY, -1),
}


@pytest.mark.parametrize("orientation", _STORED)
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "deep.png"])
def test_turned_pictures_are_upright(orientation: int, suffix: str, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(_STORED[orientation])
    picture = Image.fromarray(stored.astype(np.uint16) * 257 if suffix == "deep.png" else stored)
    exact: dict = {"jpg": {"quality": 100}, "webp": {"lossless": True}}.get(suffix, {})
    picture.save(tmp_path / f"phone.{suffix}", exif=exif, **exact)
    np.testing.assert_allclose(_read(tmp_path / f"phone.{suffix}"), GREY, atol=2)


@pytest.mark.parametrize(
    "name", ["rgba.png", "rgba.webp", "grey.png", "palette.gif", "key.png", "deep.png", "rgba.tif"]
)
def test_transparent_parts_are_white_and_told(name: str, tmp_path: Path):
    hidden = np.zeros((8, 6), bool)
    hidden[2:4, 1:5] = True
    shown = np.where(hidden, 0, np.uint8(80)).astype(np.uint8)
    alpha = np.where(hidden, 0, 255).astype(np.uint8)
    path = tmp_path / name
    if name == "grey.png":
        Image.merge("LA", [Image.fromarray(shown), Image.fromarray(alpha)]).save(path)
    elif name == "deep.png":
        Image.fromarray(shown.astype(np.uint16) * 257).save(path, transparency=0)
    elif name in ("key.png", "palette.gif"):
        Image.fromarray(shown).save(path, transparency=0)
    else:
        exact = {"lossless": True, "exact": True} if name.endswith("webp") else {}
        Image.fromarray(np.dstack([shown] * 3 + [alpha])).save(path, **exact)
    values, (note,) = read_image(path, 1, SIZE)
    assert "transparent" in note
    np.testing.assert_allclose(values[..., 0], np.where(hidden, 255, 80), atol=0.01)


def test_an_alpha_channel_that_hides_nothing_is_no_news(tmp_path: Path):
    Image.fromarray(np.dstack([COLOURS, np.full((8, 6), 255, np.uint8)])).save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(_read(tmp_path / "opaque.png", 3), COLOURS)


@pytest.mark.parametrize("name", ["ink.jpg", "ink.tif"])
def test_inks_are_no_light(name: str, tmp_path: Path):
    picture = Image.fromarray(COLOURS).convert("CMYK")
    picture.save(tmp_path / name, **({"quality": 100, "subsampling": 0} if name.endswith("jpg") else {}))
    np.testing.assert_allclose(_read(tmp_path / name, 3), COLOURS, atol=12)


@pytest.mark.parametrize("name", ["film.gif", "pages.tif", "film.webp"])
def test_the_first_of_several_images_is_taken_and_told(name: str, tmp_path: Path):
    exact = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(GREY).save(tmp_path / name, save_all=True, append_images=[Image.fromarray(255 - GREY)], **exact)
    values, (note,) = read_image(tmp_path / name, 1, SIZE)
    assert "the first is taken" in note
    np.testing.assert_array_equal(values[..., 0], GREY)


def test_a_gamma_that_the_file_tells_is_applied(tmp_path: Path):
    for bits, factor in ((np.uint8, 1), (np.uint16, 257)):
        info = PngImagePlugin.PngInfo()
        info.add(b"gAMA", struct.pack(">I", 100_000))  # linear light
        Image.fromarray(GREY.astype(bits) * bits(factor)).save(tmp_path / "linear.png", pnginfo=info)
        values, (note,) = read_image(tmp_path / "linear.png", 1, SIZE)
        assert "gamma" in note
        np.testing.assert_allclose(values[..., 0], 255 * (GREY / 255) ** (1 / 2.2), atol=1e-2)
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 45_455))  # that of screens
    Image.fromarray(GREY).save(tmp_path / "usual.png", pnginfo=info)
    np.testing.assert_array_equal(_read(tmp_path / "usual.png"), GREY)


def test_colours_are_those_of_the_profile(tmp_path: Path):
    usual = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(COLOURS).save(tmp_path / "usual.png", icc_profile=usual)
    np.testing.assert_array_equal(_read(tmp_path / "usual.png", 3), COLOURS)
    swapped = usual.replace("sRGB".encode("utf-16-be"), "xRGB".encode("utf-16-be"))
    swapped = swapped.replace(b"rXYZ", b"tmp_").replace(b"gXYZ", b"rXYZ").replace(b"tmp_", b"gXYZ")
    Image.fromarray(COLOURS).save(tmp_path / "swapped.png", icc_profile=swapped)
    np.testing.assert_allclose(_read(tmp_path / "swapped.png", 3), COLOURS[..., [1, 0, 2]], atol=3)
    Image.fromarray(COLOURS).save(tmp_path / "junk.png", icc_profile=b"junk")
    values, (note,) = read_image(tmp_path / "junk.png", 3, SIZE)
    assert "profile" in note
    np.testing.assert_array_equal(values, COLOURS)


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (GREY.astype(np.float32), "floats from 0 to 235"),
        (np.where(GREY == 0, np.nan, 0.5).astype(np.float32), "floats"),
        (GREY.astype(np.int32), "whole numbers of 32 bits"),
    ],
)
def test_numbers_without_black_and_white_are_refused(picture: np.ndarray, told: str, tmp_path: Path):
    Image.fromarray(picture).save(tmp_path / "numbers.tif")
    with pytest.raises(UserError, match=rf"numbers\.tif holds {told}"):
        read_image(tmp_path / "numbers.tif", 1, SIZE)


def test_few_bits_in_a_deeper_file_and_squeezed_pictures_are_told(tmp_path: Path):
    Image.fromarray(GREY.astype(np.uint16) * 16).save(tmp_path / "twelve.tif")
    assert "nearly black" in read_image(tmp_path / "twelve.tif", 1, SIZE)[1][0]
    Image.fromarray(GREY).resize((60, 8)).save(tmp_path / "wide.png")
    assert "squeezes" in read_image(tmp_path / "wide.png", 1, SIZE)[1][0]


def test_too_many_pixels_are_refused_by_the_header(tmp_path: Path):
    Image.new("1", (8, 8)).save(tmp_path / "bomb.png")
    content = (tmp_path / "bomb.png").read_bytes()
    for side in (8_000, 60_000):
        header = b"IHDR" + struct.pack(">II", side, side) + content[24:29]
        import zlib

        (tmp_path / "bomb.png").write_bytes(
            content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
        )
        with pytest.raises(UserError, match=r"bomb\.png has too many pixels"):
            read_image(tmp_path / "bomb.png", 1, SIZE)


def test_what_is_no_image_says_so_once(tmp_path: Path):
    (tmp_path / "text.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")  # which Pillow would run
    with pytest.raises(UserError, match="of no known format") as raised:
        read_image(tmp_path / "text.png", 1, SIZE)
    assert str(raised.value).count("text.png") == 1

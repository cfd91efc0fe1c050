"""Files that were damaged or made in bad faith end in a result or in one line that names them, in bounded memory."""

import io
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from pppl.config import PersonSettings
from pppl.data import load_dataset, split_for
from pppl.data.features import LogMel
from pppl.data.preprocessing import Preprocessing
from pppl.data.samples import read_samples
from pppl.system.errors import UserError

_COUNT = 500
HEARS = Preprocessing(classes=("no", "yes"), shape=(1, 49, 40), gain=(0.5,), bias=(1.0,), log_mel=LogMel())
SEES = Preprocessing(classes=("no", "yes"), shape=(3, 8, 6), gain=(1.0,), bias=(0.0,), pixels=(0.0, 1.0))
MOVES = Preprocessing(classes=("no", "yes"), shape=(2, 5), gain=(0.01, 0.02), bias=(0.0, 1.0))
_NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1\0\0\0", b"\0\0\1\0", b"\0\1")


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Change the content in one to four places, as disks, networks and editors do, or somebody in bad faith."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        # Headers are at the beginning, an archive's directory at the end.
        place = int(rng.choice([rng.integers(len(data) + 1), rng.integers(80), len(data) - rng.integers(1, 400)]))
        place, length = min(max(place, 0), len(data)), int(rng.integers(1, 64))
        kind = rng.integers(7)
        if kind == 0:
            data[place : place + 1] = bytes([rng.integers(256)])
        elif kind == 1 and place < len(data):
            data[place] ^= 1 << rng.integers(8)
        elif kind == 2:
            number = _NUMBERS[rng.integers(len(_NUMBERS))]
            data[place : place + len(number)] = number
        elif kind == 3:
            del data[place : place + length]
        elif kind == 4:
            data[place:place] = rng.bytes(length)
        elif kind == 5:
            data[place:place] = data[place : place + length]
        elif kind == 6 and rng.random() < 0.3:
            del data[place:]
    return bytes(data)


def _npz(rng: np.random.Generator) -> bytes:
    """A data set whose arrays have the shapes and types that some were taken for, compressed or not."""
    count = 12
    arrays: dict[str, object] = {
        "x": rng.normal(size=(count, 2, 5)).astype(rng.choice(["f4", "f8", ">f4", "f2"])),
        "y": np.arange(count) % 2,
        "classes": np.array(["no", "yes"]),
        "identity": np.arange(count) % 3,
        "scale": np.ones(2),
    }
    shapes = [(count,), (count, 1), (0,), (), (count, 2, 5), (1, count)]
    types = ["i8", "u1", "f4", "f8", "c8", "U3", "S3", "?", "M8[s]", "O", "V4", [("a", "i4"), ("b", "f4")], ">i8", "f2"]
    if rng.random() < 0.7:
        name = str(rng.choice(["x", "y", "classes", "identity", "identities", "split", "scale", "offset", "why"]))
        values = rng.integers(-1, 4, size=shapes[rng.integers(len(shapes))])
        made = types[rng.integers(len(types))]
        arrays[name] = np.zeros(values.shape, made) if isinstance(made, list) else values.astype(made)
    file, packed = io.BytesIO(), int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    hurt = str(rng.choice(list(arrays))) if rng.random() < 0.5 else ""
    with zipfile.ZipFile(file, "w", packed) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, np.asarray(array))
            content = member.getvalue()
            if name == hurt:  # an archive that is whole, with a header in it that is not
                content = mutated(content[:128], rng) + content[128:]
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def _wav(rng: np.random.Generator) -> bytes:
    kinds = [
        ("WAV", "PCM_16"),
        ("WAV", "PCM_U8"),
        ("WAV", "FLOAT"),
        ("WAV", "ULAW"),
        ("FLAC", "PCM_16"),
        ("AIFF", "PCM_24"),
    ]
    kinds += [("OGG", "VORBIS")]
    format_, subtype = kinds[rng.integers(len(kinds))]
    rate, channels = int(rng.choice([8000, 16000, 44100])), int(rng.integers(1, 3))
    file = io.BytesIO()
    soundfile.write(file, rng.normal(size=(1200, channels)) * 0.1, rate, format=format_, subtype=subtype)
    return file.getvalue()


def _image(rng: np.random.Generator) -> bytes:
    modes = {"PNG": ["L", "RGBA", "P", "I;16", "LA"], "JPEG": ["L", "RGB", "CMYK"], "GIF": ["P"], "BMP": ["RGB", "1"]}
    modes |= {"TIFF": ["L", "RGB", "F", "I;16"], "WEBP": ["RGBA"]}
    format_ = str(rng.choice(list(modes)))
    mode = str(rng.choice(modes[format_]))
    pixels = rng.integers(256, size=(8, 6), dtype=np.uint8)
    exif = Image.Exif()
    exif[274] = int(rng.integers(1, 9))
    picture = (
        Image.fromarray(pixels.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    )
    file = io.BytesIO()
    picture.save(file, format_, **({} if format_ in ("GIF", "BMP") else {"exif": exif}))
    return file.getvalue()


def _data_set(path: Path) -> None:
    dataset = load_dataset(str(path))
    try:
        split_for(dataset, PersonSettings(), 0)
    except UserError:  # of too few people, which does not name the file
        return


def _samples(preprocessing: Preprocessing) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        samples = read_samples(str(path), preprocessing)
        assert samples.values.isfinite().all()
        assert samples.values.shape[1:] == preprocessing.shape
        assert len(samples.names) == len(samples.values)

    return read


READERS: dict[str, tuple[Callable[[np.random.Generator], bytes], Callable[[Path], None]]] = {
    "npz": (_npz, _data_set),
    "npz of a person": (_npz, _samples(MOVES)),
    "wav": (_wav, _samples(HEARS)),
    "png": (_image, _samples(SEES)),
}


@pytest.mark.parametrize("reader", READERS)
def test_mutated_files_are_read_or_refused_in_one_line(reader: str, tmp_path: Path):
    fuzzed(reader, range(_COUNT), tmp_path)


def fuzzed(reader: str, seeds: range, folder: Path) -> None:
    """Reads mutated files, one for each seed."""
    make, read = READERS[reader]
    path = folder / f"hurt.{reader.split()[0]}"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in seeds:
        rng = np.random.default_rng([seed, len(reader)])
        whole = make(rng)
        content = mutated(whole, rng) if seed % 3 else whole
        path.write_bytes(content)
        refusal = ""
        try:
            read(path)
        except UserError as error:
            refusal = str(error)
        except Exception as error:
            pytest.fail(f"{reader}, seed {seed}: {type(error).__name__}: {error}")
        assert not refusal or ("hurt." in refusal and "\n" not in refusal), f"{seed}: {refusal}"
        assert path.read_bytes() == content
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20 < 1, "more than 1 GiB"

"""The identity-dataset format: what is read, and how bad files are refused."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from pppl.data import load_dataset
from pppl.data.npz import load_npz, read_samples_npz
from pppl.system.errors import UserError

N = 12


def _arrays(**changes: object) -> dict[str, np.ndarray]:
    """Arrays of a whole data set: 3 classes, 2 persons, 2 channels; None leaves an array out."""
    arrays = {
        "x": np.arange(N * 2 * 5, dtype=np.uint8).reshape(N, 2, 5),
        "y": np.arange(N) % 3,
        "classes": np.array(["cat", "dog", "eel"]),
        "identity": np.arange(N) % 2,
        "identities": np.array(["ann", "bob"]),
        "split": (np.arange(N) // 4).astype(np.uint8),
        "scale": np.array([0.5, 2.0]),
        "offset": np.array([1.0], np.float32),
    } | changes
    return {name: np.asarray(array) for name, array in arrays.items() if array is not None}


def _save(path: Path, **changes: object) -> Path:
    np.savez(path, **_arrays(**changes))
    return path


def test_every_array_arrives_as_it_was_stored(tmp_path: Path):
    dataset = load_dataset(str(_save(tmp_path / "pets.npz", colour=np.zeros(3))))
    expected = _arrays()
    assert dataset.name == "pets"
    assert dataset.x.dtype == torch.uint8
    assert np.array_equal(dataset.x.numpy(), expected["x"])
    assert dataset.y.dtype == torch.int64
    assert dataset.y.tolist() == expected["y"].tolist()
    assert dataset.classes == ("cat", "dog", "eel")
    assert dataset.identity.tolist() == expected["identity"].tolist()
    assert dataset.identities == ("ann", "bob")
    assert dataset.split.tolist() == expected["split"].tolist()
    assert not dataset.standardized
    values = expected["x"] * expected["scale"][:, None] + 1.0
    assert torch.equal(dataset.inputs(np.arange(N)), torch.from_numpy(values.astype(np.float32)))


def test_optional_arrays_may_be_left_out(tmp_path: Path):
    left_out = dict.fromkeys(("identity", "identities", "split", "scale", "offset"))
    dataset = load_npz(_save(tmp_path / "pets.npz", **left_out))
    assert dataset.identity is None
    assert dataset.identities == ()
    assert dataset.split is None
    assert (dataset.scale.tolist(), dataset.offset.tolist()) == ([1.0], [0.0])


def test_a_misspelt_array_is_told_and_any_other_is_left_alone(tmp_path: Path):
    slip = _save(tmp_path / "slip.npz", identity=None, identitty=np.arange(N) % 2)
    with pytest.raises(UserError, match="array 'identitty' is not known: did you mean 'identity'"):
        load_npz(slip)
    assert len(load_npz(_save(tmp_path / "more.npz", splits=np.zeros(3), weight=np.zeros(3))).x) == N


@pytest.mark.parametrize("numbers", [[0, 1, 2], [1, 2, 3], [1, 3, 7], [10**9, 6, 21]])
def test_people_without_names_keep_their_numbers(numbers: list[int], tmp_path: Path):
    own = np.array(numbers)[np.arange(N) % 3]
    for kind in (np.int64, np.uint32, ">i4"):
        dataset = load_npz(_save(tmp_path / "pets.npz", identities=None, identity=own.astype(kind)))
        assert dataset.identity is not None
        assert [int(dataset.identities[who].removeprefix("person")) for who in dataset.identity] == own.tolist()
    assert load_npz(_save(tmp_path / "pets.npz", identities=None, identity=own // own.max())).identities == (
        "person0000",
        "person0001",
    )


@pytest.mark.parametrize("numbers", [[0, 1, 2], [1, 2, 3], [3, 8, 21]])
def test_classes_without_names_keep_their_numbers(numbers: list[int], tmp_path: Path):
    own = np.array(numbers)[np.arange(N) % 3]
    dataset = load_npz(_save(tmp_path / "pets.npz", classes=None, y=own))
    assert dataset.classes == tuple(map(str, numbers))
    assert [int(dataset.classes[label]) for label in dataset.y] == own.tolist()
    # A person's file from the same hand, in which not all classes are.
    values, labels, notes = read_samples_npz(_save(tmp_path / "own.npz", classes=None, y=own), dataset.classes)
    assert labels is not None
    assert labels.tolist() == dataset.y.tolist()
    assert len(values) == N
    assert len(notes) == (numbers[0] != 0)


def test_labels_that_are_no_names_are_indices(tmp_path: Path):
    path = _save(tmp_path / "own.npz", classes=None, y=np.arange(N) % 3)
    for classes in (("1", "2", "3"), ("cat", "dog", "eel")):
        _, labels, notes = read_samples_npz(path, classes)
        assert labels is not None
        assert labels.tolist() == [0, 1, 2] * 4
        assert notes == ()
    with pytest.raises(UserError, match="there are 2 classes"):
        read_samples_npz(path, ("cat", "dog"))


@pytest.mark.parametrize(
    ("stored", "kept"),
    [("u1", "uint8"), ("<f2", "float16"), ("<f4", "float32"), (">f4", "float32"), ("<f8", "float32")],
)
def test_types_of_samples(stored: str, kept: str, tmp_path: Path):
    x = np.asfortranarray(np.arange(N * 2 * 3 * 3).reshape(N, 2, 3, 3).astype(stored))
    dataset = load_npz(_save(tmp_path / "pets.npz", x=x))
    assert dataset.x.dtype == getattr(torch, kept)
    assert dataset.x.is_contiguous()
    assert torch.equal(dataset.x, torch.arange(N * 2 * 3 * 3).reshape(N, 2, 3, 3).to(dataset.x.dtype))


def test_names_as_bytes_and_compressed_files(tmp_path: Path):
    path = tmp_path / "pets.npz"
    np.savez_compressed(path, **_arrays(classes=np.array([n.encode() for n in ("katze", "hündin", "aal")])))
    assert load_npz(path).classes == ("katze", "hündin", "aal")


_FLOATS = _arrays()["x"].astype(np.float32)
_NAN, _INF = _FLOATS.copy(), _FLOATS.astype(np.float64)
_NAN[7, 1, 2], _INF[3, 0, 0] = np.nan, 1e300  # too large for float32

BAD = {
    "no x": ({"x": None}, "x missing; write them with np.savez: x, y, classes"),
    "no y": ({"y": None}, "y missing"),
    "no classes": ({"classes": None, "y": None}, "y and classes missing"),
    "objects": ({"x": np.full(N, None)}, "x holds Python objects, which are never read"),
    "objects as names": ({"classes": np.array(["a", "b", None])}, "classes holds Python objects"),
    "lengths": ({"y": np.arange(11) % 3}, "arrays of unequal length: x 12, y 11, identity 12, split 12"),
    "one-hot": ({"y": np.eye(3)[np.arange(N) % 3]}, r"y has shape (12, 3); write one number for each sample"),
    "y float": ({"y": np.arange(N) % 3 * 1.0}, "y is float64; write an integer for each sample"),
    "y too high": ({"y": np.arange(N) % 4}, "y goes from 0 to 3, but there are 3 classes"),
    "y negative": ({"y": np.arange(N) % 3 - 1}, "y goes from -1 to 1, but there are 3 classes"),
    "y huge": ({"y": np.full(N, 2**64 - 1, np.uint64)}, "but there are 3 classes"),
    "one class declared": ({"y": np.zeros(N, int), "classes": ["a"]}, "y is 0 for all samples"),
    "one class occurs": ({"y": np.full(N, 2)}, "y is 2 for all samples; write samples of at least 2 classes"),
    "class twice": ({"classes": ["a", "b", "a"]}, "classes holds 'a' 2 times; write every name once"),
    "classes are numbers": ({"classes": np.arange(3)}, "classes is int64 of shape (3,); write one name each as text"),
    "classes of two dimensions": ({"classes": np.array([["a", "b"]])}, "classes is <U1 of shape (1, 2)"),
    "classes not UTF-8": ({"classes": np.array([b"\xff", b"b", b"c"])}, "classes in"),
    "x flat": ({"x": np.zeros((N, 4), np.uint8)}, "x has shape (12, 4); write (N, C, H, W) for images"),
    "x of too many": ({"x": np.zeros((N, 1, 1, 1, 4), np.uint8)}, "x has shape (12, 1, 1, 1, 4)"),
    "x empty": ({name: [] for name in ("y", "identity", "split")} | {"x": np.zeros((0, 1, 4))}, "x is empty"),
    "x int": ({"x": np.zeros((N, 2, 4), np.int16)}, "x is int16; write uint8, float16 or float32"),
    "x complex": ({"x": np.zeros((N, 2, 4), np.complex64)}, "x is complex64"),
    "x NaN": ({"x": _NAN}, "x holds NaN or infinite values, the first in sample 7"),
    "x infinite": ({"x": _INF}, "x holds NaN or infinite values, the first in sample 3"),
    "identity too high": ({"identity": np.arange(N) % 3}, "identity goes from 0 to 2, but there are 2 identities"),
    "identity negative": ({"identity": np.arange(N) - 1, "identities": None}, "identity goes from -1 to 10; write"),
    "identity float": ({"identity": np.zeros(N)}, "identity is float64"),
    "one person": ({"identity": np.ones(N, int)}, "identity is 1 for all samples; write samples of at least 2"),
    "person twice": ({"identities": ["ann", "ann"]}, "identities holds 'ann' 2 times"),
    "names of nobody": ({"identity": None}, "identities without identity"),
    "split": ({"split": np.arange(N) // 3}, "split holds 0, 1, 2, 3; write 0 train, 1 validation, 2 test"),
    "split text": ({"split": np.full(N, "train")}, "split holds train; write 0 train"),
    "split NaN": ({"split": np.full(N, np.nan)}, "split holds nan"),
    "nothing to train on": ({"split": np.full(N, 2)}, "split has no training sample"),
    "scale shape": (
        {"scale": np.ones(3)},
        "scale is float64 of shape (3,); write one number, or one for each of the 2",
    ),
    "scale text": ({"scale": ["1"]}, "scale is <U1 of shape (1,)"),
    "offset not finite": ({"offset": [np.inf]}, "offset is not finite"),
    "offset beyond float32": ({"offset": [1e300]}, "offset is not finite"),
}


def _refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        load_npz(path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_named(case: str, tmp_path: Path):
    changes, message = BAD[case]
    assert message in _refused(_save(tmp_path / "pets.npz", **changes))


class _Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["PPPL_BOMB"],)


def test_pickles_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bomb = tmp_path / "exploded"
    monkeypatch.setenv("PPPL_BOMB", str(bomb))
    assert "x holds Python objects" in _refused(_save(tmp_path / "pets.npz", x=np.array([_Bomb()] * N)))
    (tmp_path / "raw.npz").write_bytes(pickle.dumps(_Bomb()))
    assert "is no .npz file" in _refused(tmp_path / "raw.npz")
    assert not bomb.exists()


def test_files_that_are_no_npz(tmp_path: Path):
    for content in (b"", b"x", b"\x93NUMPY" + b"\0" * 100):
        (tmp_path / "pets.npz").write_bytes(content)
        assert "is no .npz file: write it with np.savez" in _refused(tmp_path / "pets.npz")
    with zipfile.ZipFile(tmp_path / "pets.npz", "w") as file:
        file.writestr("x.npy", b"no array")
        file.writestr("y.npy", b"")
    assert "x in" in (message := _refused(tmp_path / "pets.npz"))
    assert "it is damaged" in message


def test_damaged_files(tmp_path: Path):
    whole = _save(tmp_path / "pets.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    assert "is no .npz file" in _refused(tmp_path / "cut.npz")
    position = whole.index(bytes(range(30, 60)))  # among the samples
    (tmp_path / "flipped.npz").write_bytes(whole[:position] + b"\xff" + whole[position + 1 :])
    assert "x in" in (message := _refused(tmp_path / "flipped.npz"))
    assert "it is damaged (Bad CRC-32" in message


def test_a_header_cannot_ask_for_more_than_is_there(tmp_path: Path):
    header = np.lib.format.header_data_from_array_1_0(np.zeros((N, 2, 5), np.uint8)) | {"shape": (N, 1 << 20, 1 << 20)}
    with zipfile.ZipFile(_save(tmp_path / "pets.npz", x=None), "a") as file, file.open("x.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(bytes(N * 10))
    assert "120 bytes for shape" in _refused(tmp_path / "pets.npz")


def test_names_that_would_be_taken_for_two(tmp_path: Path):
    assert "classes holds 'b+c'" in _refused(_save(tmp_path / "pets.npz", classes=np.array(["a", "b+c"])))
    assert "without + and :, which join names in tables" in _refused(tmp_path / "pets.npz")


def test_identities_beyond_what_an_index_can_be(tmp_path: Path):
    identity = np.array([0] * (N - 1) + [2**64 - 1], np.uint64)
    assert "identity goes from 0 to" in _refused(_save(tmp_path / "pets.npz", identity=identity, identities=None))


def test_a_file_that_is_not_there(tmp_path: Path):
    _save(tmp_path / "pets.npz")
    for name, hint in (("pet.npz", f"did you mean {str(tmp_path / 'pets.npz')!r}?"), ("far/qqq.npz", "give the path")):
        with pytest.raises(UserError, match="no such file") as error:
            load_dataset(str(tmp_path / name))
        assert hint in str(error.value)
        assert str(tmp_path / name) in str(error.value)
    (tmp_path / "folder.npz").mkdir()
    assert "no such file" in _refused(tmp_path / "folder.npz")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path):
    _save(tmp_path / "pets.npz").chmod(0)
    assert "Permission denied" in _refused(tmp_path / "pets.npz")


def test_what_was_made_to_fill_memory_is_refused_unread(tmp_path: Path):
    """Megabytes of zeros in kilobytes, and names as long as books."""
    header, shape = io.BytesIO(), (65, 1 << 10, 1 << 10)
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    path = _save(tmp_path / "pets.npz", x=None)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file, file.open("x.npy", "w") as stream:
        stream.write(header.getvalue())
        for _ in range(65):
            stream.write(bytes(1 << 20))
    assert "x in" in (message := _refused(path))
    assert "bytes out of" in message
    long = np.array(["a" * 5_000_000, "b"])
    np.savez_compressed(tmp_path / "names.npz", **_arrays(classes=long, y=np.arange(N) % 2))
    assert "classes is <U5000000 of shape (2,)" in _refused(tmp_path / "names.npz")


def test_archives_of_another_kind_are_refused(tmp_path: Path):
    whole = bytearray(_save(tmp_path / "pets.npz").read_bytes())
    directory = whole.rindex(b"PK\1\2")
    for place, value in ((6, 90), (8, 1), (10, 99)):  # a version of the future, encryption, a method that nobody has
        changed = whole.copy()
        changed[directory + place] = value
        local = changed.index(b"offset.npy") - 30
        changed[local + place - 2] = value
        (tmp_path / "pets.npz").write_bytes(changed)
        assert "write" in _refused(tmp_path / "pets.npz")

"""Folders of recordings, images and arrays as data sets: layouts, splits, and what is refused by its path."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from own_files import write_image, write_people, write_wav
from PIL import Image

from pppl.config import ColumnSettings, DataSettings
from pppl.data import load_dataset
from pppl.data.audio import log_mels
from pppl.data.features import LogMel
from pppl.system.errors import UserError


def _refused(folder: Path, **settings: object) -> str:
    with pytest.raises(UserError) as caught:
        load_dataset(DataSettings(name=str(folder), **settings))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_classes_are_sub_folders_in_their_natural_order(tmp_path: Path):
    paths = [write_image(tmp_path / "pets" / name / f"{at}.png", at) for name in ("10", "2", "cat") for at in (0, 1)]
    write_image(tmp_path / "pets" / ".hidden" / "x" / "0.png")
    dataset = load_dataset(str(tmp_path / "pets"))
    assert (dataset.name, dataset.classes, dataset.identity, dataset.split) == ("pets", ("2", "10", "cat"), None, None)
    assert dataset.x.shape == (6, 1, 6, 8)
    assert dataset.x.dtype == torch.uint8
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(paths)])
    assert np.array_equal(dataset.x[:, 0].numpy(), pixels)
    assert [dataset.classes[label] for label in dataset.y] == [path.parent.name for path in sorted(paths)]
    assert 0 <= dataset.inputs(np.arange(6)).min() < dataset.inputs(np.arange(6)).max() <= 1, "black is 0, white is 1"
    assert dataset.about == ("read as class/file, 6 images",)


def test_people_stand_above_classes(tmp_path: Path):
    dataset = load_dataset(str(write_people(tmp_path / "own", people=3, classes=2, each=2)))
    assert (dataset.classes, dataset.identities) == (("a", "b"), ("p0", "p1", "p2"))
    assert dataset.identity is not None
    assert dataset.identity.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert dataset.about[0] == "read as person/class/file, 12 images"


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_a_split_may_stand_above_all(validation: str, tmp_path: Path):
    for part, each in (("train", 3), (validation, 2), ("test", 1)):
        write_people(tmp_path / part, people=2, classes=2, each=each)
    dataset = load_dataset(str(tmp_path))
    assert [len(dataset.rows(part)) for part in range(3)] == [12, 8, 4]
    assert dataset.identities == ("p0", "p1")
    assert "split/person/class/file" in dataset.about[0]


def test_recordings_are_the_log_mels_of_other_sources(tmp_path: Path):
    paths = [write_wav(tmp_path / name / f"{at}.wav", at) for name in ("no", "yes") for at in (0, 1)]
    write_wav(tmp_path / "yes" / "long.wav", 9, seconds=2.5)
    dataset = load_dataset(str(tmp_path))
    assert dataset.log_mel == LogMel()
    expected = torch.cat([*log_mels(paths, LogMel())])
    assert (dataset.inputs(np.arange(4)) - expected).abs().max() <= dataset.scale / 2 + 1e-4
    assert "1 of 5 recordings are longer than 1 s, up to 2.5 s" in dataset.about[1]


@pytest.mark.parametrize(("shape", "kept"), [((7,), (1, 7)), ((3, 7), (3, 7)), ((2, 4, 5), (2, 4, 5))])
def test_arrays_are_one_sample_a_file(shape: tuple[int, ...], kept: tuple[int, ...], tmp_path: Path):
    for at in range(4):
        (tmp_path / "ab"[at % 2]).mkdir(exist_ok=True)
        np.save(tmp_path / "ab"[at % 2] / f"{at}.npy", np.full(shape, at, np.float32))
    assert load_dataset(str(tmp_path)).x.shape == (4, *kept)


def test_arrays_keep_the_digits_in_which_they_differ(tmp_path: Path):
    for at in range(4):
        (tmp_path / "ab"[at % 2]).mkdir(exist_ok=True)
        np.save(tmp_path / "ab"[at % 2] / f"{at}.npy", 1e9 + np.arange(8.0) / 8 + at)
    dataset = load_dataset(str(tmp_path))
    assert dataset.center is not None
    assert len(dataset.x.unique()) > 8


def test_the_hash_follows_the_contents(tmp_path: Path):
    folder = write_people(tmp_path / "own", people=2, classes=2, each=2)
    before = load_dataset(str(folder)).sha256
    shutil.copytree(folder, tmp_path / "copy")
    assert load_dataset(str(tmp_path / "copy")).sha256 == before, "the same files elsewhere"
    write_image(folder / "p0" / "a" / "0.png", 99)
    assert load_dataset(str(folder)).sha256 != before
    shutil.move(tmp_path / "copy" / "p0" / "a" / "0.png", tmp_path / "copy" / "p0" / "b" / "9.png")
    assert load_dataset(str(tmp_path / "copy")).sha256 != before, "another class"


def test_files_at_two_depths_are_refused_by_path(tmp_path: Path):
    write_people(tmp_path, people=2, classes=2, each=2)
    write_image(tmp_path / "p0" / "stray.png")
    error = _refused(tmp_path)
    assert str(tmp_path / "p0" / "stray.png") in error
    assert "class/file" in error


def test_images_of_several_sizes_need_one_in_the_settings(tmp_path: Path):
    for name in ("a", "b"):
        write_image(tmp_path / name / "0.png")
    odd = write_image(tmp_path / "b" / "1.png", size=(20, 10), mode="RGB")
    error = _refused(tmp_path)
    assert str(odd) in error
    assert "data.size" in error
    assert "[6, 8]" in error
    dataset = load_dataset(DataSettings(name=str(tmp_path), size=(5, 4)))
    assert dataset.x.shape == (3, 3, 5, 4), "colour, since one is"
    assert any("made 4 x 5" in line for line in dataset.about)


def test_an_image_on_its_side_has_the_size_that_a_viewer_shows(tmp_path: Path):
    write_image(tmp_path / "a" / "0.png")
    (tmp_path / "b").mkdir()
    exif = Image.Exif()
    exif[274] = 6
    Image.new("L", (6, 8)).save(tmp_path / "b" / "0.jpg", exif=exif)
    assert load_dataset(str(tmp_path)).input_shape == (1, 6, 8)


def test_what_is_no_data_set_is_refused_by_name(tmp_path: Path):
    assert "holds no files" in _refused(tmp_path)
    write_image(tmp_path / "a" / "0.png")
    assert "samples of one class, 'a'" in _refused(tmp_path)
    write_image(tmp_path / "b" / "0.png")
    assert "data.columns is set" in _refused(tmp_path, columns=ColumnSettings(label="x"))
    write_wav(tmp_path / "b" / "1.wav")
    assert "mixes" in _refused(tmp_path)
    (tmp_path / "b" / "1.wav").unlink()
    (tmp_path / "b" / "broken.png").write_bytes(b"no image")
    assert str(tmp_path / "b" / "broken.png") in _refused(tmp_path)
    (tmp_path / "b" / "broken.png").rename(tmp_path / "b" / "notes.txt")
    assert "notes.txt is of no known kind" in _refused(tmp_path)
    (tmp_path / "b" / "notes.txt").unlink()
    (tmp_path / "b").rename(tmp_path / "a+b")
    assert "rename class 'a+b'" in _refused(tmp_path)
    write_image(tmp_path / "deep" / "1" / "2" / "3" / "4" / "0.png")
    assert "too deep" in _refused(tmp_path)
    assert "is not there" in _refused(tmp_path / "nowhere")


def test_loose_files_have_no_class(tmp_path: Path):
    write_image(tmp_path / "0.png")
    assert "would name its class" in _refused(tmp_path)


def test_arrays_of_no_use_are_named(tmp_path: Path):
    for at in range(4):
        (tmp_path / "ab"[at % 2]).mkdir(exist_ok=True)
        np.save(tmp_path / "ab"[at % 2] / f"{at}.npy", np.arange(6.0))
    np.save(tmp_path / "b" / "1.npy", np.array([1, 2, np.nan, 4, 5, 6]))
    assert f"1 of 4 samples hold no number, NaN or infinite values, the first is {tmp_path}/b/1.npy" in _refused(
        tmp_path
    )
    np.save(tmp_path / "b" / "1.npy", np.arange(5.0))
    assert "b/1.npy has shape (1, 5), most have (1, 6)" in _refused(tmp_path)
    np.save(tmp_path / "b" / "1.npy", np.array([object()]), allow_pickle=True)
    assert "no array that can be read" in _refused(tmp_path), "pickles are never read"
    (tmp_path / "b" / "1.npy").unlink()
    assert "data.size is set" in _refused(tmp_path, size=(4, 4))


def test_a_folder_with_the_name_of_a_source_is_written_as_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_people(tmp_path / "digits", people=2, classes=2, each=2)
    assert len(load_dataset("digits").y) == 1797
    assert len(load_dataset("./digits").y) == 8
    (tmp_path / "digits").rename(tmp_path / "mine")
    assert len(load_dataset("mine").y) == 8

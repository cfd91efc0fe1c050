"""Data sets of the library `datasets`, saved for real; the hub itself is out of reach of tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_files import write_image, write_wav

from pppl.config import ColumnSettings, DataSettings
from pppl.data import IdentityDataset, load_dataset
from pppl.data.features import LogMel
from pppl.system.errors import UserError

library = pytest.importorskip("datasets")


def _load(path: object, **columns: object) -> IdentityDataset:
    return load_dataset(DataSettings(name=str(path), columns=ColumnSettings(**columns)))  # type: ignore[arg-type]


def _images(folder: Path, count: int = 12) -> Any:
    paths = [str(write_image(folder / f"{at}.png", at)) for at in range(count)]
    classes = library.ClassLabel(names=["zebra", "ant", "bee"])
    features = library.Features({"image": library.Image(), "what": classes, "weight": library.Value("float32")})
    rows = {"image": paths, "what": [at % 2 for at in range(count)], "weight": [0.5] * count}
    return library.Dataset.from_dict(rows, features=features)


def test_images_and_their_classes_are_found_by_type(tmp_path: Path):
    _images(tmp_path / "files").save_to_disk(tmp_path / "saved")
    dataset = _load(tmp_path / "saved")
    assert dataset.name == "saved"
    assert dataset.x.shape == (12, 1, 6, 8)
    assert dataset.classes == ("zebra", "ant", "bee"), "in the order of the data set, one without samples among them"
    assert dataset.y.tolist() == [0, 1] * 6
    assert dataset.about[0] == "values image; label what; not read: weight"


def test_named_splits_are_the_split(tmp_path: Path):
    rows = _images(tmp_path / "files")
    parts = {"train": rows.select(range(6)), "validation": rows.select([6, 7]), "test": rows.select(range(8, 11))}
    library.DatasetDict(parts | {"unlabelled": rows.select([11])}).save_to_disk(tmp_path / "saved")
    dataset = _load(tmp_path / "saved")
    assert [len(dataset.rows(part)) for part in range(3)] == [6, 2, 3]
    assert torch.equal(dataset.x, _whole(tmp_path, rows).x[:11])
    assert dataset.about[-1] == "splits that are not read: unlabelled"
    library.DatasetDict({"train": rows}).save_to_disk(tmp_path / "one")
    assert _load(tmp_path / "one").split is None
    library.DatasetDict({"a": rows, "b": rows}).save_to_disk(tmp_path / "two")
    with pytest.raises(UserError, match="has the splits a, b, none of which is train"):
        _load(tmp_path / "two")


def _whole(folder: Path, rows: Any) -> IdentityDataset:
    rows.save_to_disk(folder / "whole")
    return _load(folder / "whole")


def test_a_parquet_file_of_the_library_knows_its_classes(tmp_path: Path):
    rows = _images(tmp_path / "files")
    rows.to_parquet(tmp_path / "saved.parquet")
    assert _load(tmp_path / "saved.parquet").classes == ("zebra", "ant", "bee")
    assert _load(tmp_path / "saved.parquet").sha256 == _whole(tmp_path, rows).sha256


def test_recordings_of_people(tmp_path: Path):
    paths = [str(write_wav(tmp_path / "files" / f"{at}.wav", at)) for at in range(8)]
    rows = {"audio": paths, "word": ["no", "yes"] * 4, "speaker_id": [7, 7, 8, 8] * 2}
    audio = library.Audio(decode=False)  # decoding takes another package
    library.Dataset.from_dict(rows).cast_column("audio", audio).save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match=r"which column is the class\? Set data.columns.label"):
        _load(tmp_path / "saved")
    dataset = _load(tmp_path / "saved", label="word")
    assert (dataset.x.shape, dataset.log_mel) == ((8, 1, 49, 40), LogMel())
    assert (dataset.classes, dataset.identities) == (("no", "yes"), ("7", "8"))


def test_series_are_arrays_or_columns_of_sequences(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(6, 2, 9)).astype(np.float32)
    features = library.Features({"x": library.Array2D((2, 9), "float32"), "label": library.Value("string")})
    rows = library.Dataset.from_dict({"x": values, "label": ["a", "b"] * 3}, features=features)
    rows.save_to_disk(tmp_path / "array")
    assert np.array_equal(_load(tmp_path / "array").x.numpy(), values)
    rows = library.Dataset.from_dict({"p": values[:, 0], "q": values[:, 1], "label": ["a", "b"] * 3})
    rows.save_to_disk(tmp_path / "columns")
    assert np.array_equal(_load(tmp_path / "columns", values=("p", "q")).x.numpy(), values)


def test_a_class_that_is_hidden_is_told(tmp_path: Path):
    features = library.Features({"v": library.Value("float32"), "label": library.ClassLabel(names=["a", "b"])})
    rows = library.Dataset.from_dict({"v": [1.0, 2.0, 3.0], "label": [0, 1, -1]}, features=features)
    rows.save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match=r"saved, row 2 has no class: give one, or leave it out"):
        _load(tmp_path / "saved")


def test_a_damaged_folder(tmp_path: Path):
    _images(tmp_path / "files").save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").write_text("{")
    with pytest.raises(UserError, match=r"saved is damaged \(.*\): save it again with save_to_disk"):
        _load(tmp_path / "saved")


def test_a_download_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as caught:
        _load("hf:nobody/nothing-of-this-name")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("hf:nobody/nothing-of-this-name cannot be loaded (")
    assert "save_to_disk" in str(caught.value)
    assert capsys.readouterr().err == ""

"""CSV and Parquet tables as data sets: series in rows or in columns, and columns that are named or found."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from own_files import long_csv, write_image

from pppl.config import ColumnSettings, DataSettings
from pppl.data import IdentityDataset, load_dataset
from pppl.data.own.sample_table import CsvTable
from pppl.system.errors import UserError

ACTIVITY = {"label": "activity"}


def _load(path: Path, **columns: object) -> IdentityDataset:
    return load_dataset(DataSettings(name=str(path), columns=ColumnSettings(**columns)))  # type: ignore[arg-type]


def _refused(path: Path, **columns: object) -> str:
    with pytest.raises(UserError) as caught:
        _load(path, **columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_are_the_time_steps_of_samples(tmp_path: Path):
    dataset = _load(long_csv(tmp_path / "sensors.csv"), **ACTIVITY)
    frame = pd.read_csv(tmp_path / "sensors.csv")
    assert dataset.name == "sensors"
    assert dataset.x.shape == (48, 2, 5), "a window of each person is a sample, though windows are numbered anew"
    assert (dataset.classes, dataset.identities) == (("sit", "walk"), tuple(f"s{at}" for at in range(6)))
    for at, ((subject, _), rows) in enumerate(frame.groupby(["subject", "window"], sort=False)):
        assert torch.allclose(dataset.x[at], torch.tensor(rows[["ax", "ay"]].to_numpy().T, dtype=torch.float32))
        assert dataset.identities[dataset.identity[at]] == subject  # type: ignore[index]
        assert dataset.classes[dataset.y[at]] == rows["activity"].iloc[0]
    assert "values ax, ay; label activity, person subject, sample window; not read: time" in dataset.about


def test_steps_of_samples_may_be_mixed_but_keep_their_order(tmp_path: Path):
    path = long_csv(tmp_path / "sensors.csv")
    frame = pd.read_csv(path)
    order = np.argsort(frame.groupby(["subject", "window"]).cumcount(), kind="stable")
    frame.iloc[order].to_csv(tmp_path / "mixed.csv", index=False)
    assert torch.equal(_load(tmp_path / "mixed.csv", **ACTIVITY).x, _load(path, **ACTIVITY).x)


def test_a_parquet_file_is_what_its_csv_file_is(tmp_path: Path):
    path = long_csv(tmp_path / "sensors.csv")
    pytest.importorskip("pyarrow")
    pd.read_csv(path).to_parquet(tmp_path / "sensors.parquet")
    assert _load(tmp_path / "sensors.parquet", **ACTIVITY).sha256 == _load(path, **ACTIVITY).sha256


def test_semicolons_and_decimal_commas_of_spreadsheets(tmp_path: Path):
    path = long_csv(tmp_path / "sensors.csv")
    pd.read_csv(path).to_csv(tmp_path / "comma.csv", sep=";", decimal=",", index=False)
    assert _load(tmp_path / "comma.csv", **ACTIVITY).sha256 == _load(path, **ACTIVITY).sha256


def test_a_row_is_a_series_without_a_sample_column(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(12, 7)).round(4)
    frame = pd.DataFrame(values).add_prefix("t").assign(label=[1, 2] * 6, id=range(12))
    frame.to_csv(tmp_path / "wide.csv", index=False)
    dataset = _load(tmp_path / "wide.csv")
    assert torch.allclose(dataset.x[:, 0], torch.tensor(values, dtype=torch.float32))
    assert dataset.classes == ("1", "2")
    assert dataset.about[0] == "values 7 columns, t0 to t6; label label; not read: id"
    assert _load(tmp_path / "wide.csv", values=("t3", "T1")).x.shape == (12, 1, 2)


def test_splits_recordings_and_numbers_to_predict(tmp_path: Path):
    rows = {"v": np.arange(12.0), "w": -np.arange(12.0), "label": np.arange(12) / 3, "user_id": [1, 2, 3] * 4}
    rows |= {"recording": [0, 0, 1, 1] * 3, "split": ["train"] * 8 + ["Val"] * 2 + ["test"] * 2}
    pd.DataFrame(rows).to_csv(tmp_path / "own.csv", index=False)
    dataset = _load(tmp_path / "own.csv")
    assert (dataset.task, dataset.y.shape, dataset.classes) == ("regression", (12, 1), ())
    assert [len(dataset.rows(part)) for part in range(3)] == [8, 2, 2]
    assert dataset.recording is not None
    assert len(set(dataset.recording.tolist())) == 6, "recordings are numbered anew for each person"


def test_a_class_that_cannot_be_told_is_asked_for(tmp_path: Path):
    path = long_csv(tmp_path / "sensors.csv")
    error = _refused(path)
    assert "which column is the class? Set data.columns.label, as by --data.columns.label time; " in error
    assert "there are time, subject, window, activity" in error
    assert "data.columns.label: unknown column" in (error := _refused(path, label="activty"))
    assert "did you mean 'activity'?" in error
    assert "names 'ax' twice" in _refused(path, values=("ax", "ax"))
    error = _refused(path, label="ax", values=("activity",))
    assert f"{path}, line 2: activity is 'sit', which is no finite number (239 more cells" in error


def test_what_is_wrong_is_told_with_its_line(tmp_path: Path):
    path = long_csv(tmp_path / "sensors.csv")
    lines = path.read_text().splitlines()

    def changed(at: int, line: str) -> str:
        bad = tmp_path / "bad.csv"
        bad.write_text("\n".join([*lines[:at], line, *lines[at + 1 :]]) + "\n")
        return _refused(bad, **ACTIVITY, values=("ax", "ay"))

    assert "bad.csv, line 10: ax is 'n/a', which is no finite number: correct it" in changed(9, "9,s0,1,walk,n/a,1")
    assert "bad.csv, line 10: ay is '', which is no finite number: correct it" in changed(9, "9,s0,1,walk,1,")
    assert "line 10: ax is 'inf'" in changed(9, "9,s0,1,walk,inf,1")
    assert "line 10: not as many fields" in changed(9, "9,s0,1,walk,1")
    assert "line 7: sample 1 has 4 rows, most have 5 (2 of 49 samples differ)" in changed(9, "9,s9,1,walk,1,2")
    (tmp_path / "empty.csv").write_text("label,v\n")
    assert "has no rows" in _refused(tmp_path / "empty.csv")
    (tmp_path / "twice.csv").write_text("label,v,v\na,1,2\n")
    assert "two columns 'v'" in _refused(tmp_path / "twice.csv")
    (tmp_path / "nameless.csv").write_text("label,v\na,1\n,2\n")
    assert "nameless.csv, line 3 has no class" in _refused(tmp_path / "nameless.csv")
    (tmp_path / "split.csv").write_text("label,v,split\na,1,train\nb,2,tests\n")
    assert "line 3: unknown split 'tests': did you mean 'test'?" in _refused(tmp_path / "split.csv")
    assert "is not there" in _refused(tmp_path / "nowhere.csv")


def test_arrays_in_the_cells_of_a_parquet_file(tmp_path: Path):
    pytest.importorskip("pyarrow")
    rng, path = np.random.default_rng(0), tmp_path / "own.parquet"
    ax, ay = rng.normal(size=(2, 6, 9))
    frame = pd.DataFrame({"ax": [*ax], "ay": [*ay], "label": ["a", "b"] * 3})
    frame.to_parquet(path)
    assert (
        "which columns are the values? Set data.columns.values, as by --data.columns.values '[ax]'; there are ax, ay"
        in _refused(path)
    )
    assert torch.allclose(_load(path, values=("ax", "ay")).x, torch.tensor(np.stack([ax, ay], 1), dtype=torch.float32))
    assert _load(path, values=("ay",)).x.shape == (6, 1, 9)
    frame["ax"] = [*ax[:4], ax[4, :3], ax[5]]
    frame.to_parquet(path)
    assert f"{path}, row 4: ax has another shape than in row 0" in _refused(path, values=("ax", "ay"))
    frame.assign(ax=[[[1, 2, 3], [4, 5, 6]]] * 6, ay=0).to_parquet(path)
    assert _load(path, values=("ax",)).x.shape == (6, 2, 3)


def test_images_in_the_cells_of_a_parquet_file(tmp_path: Path):
    pytest.importorskip("pyarrow")
    files = [write_image(tmp_path / f"{at}.png", at) for at in range(4)]
    cells = [{"bytes": file.read_bytes(), "path": None} for file in files]
    pd.DataFrame({"image": cells, "label": ["a", "b"] * 2}).to_parquet(tmp_path / "own.parquet")
    assert _load(tmp_path / "own.parquet").x.shape == (4, 1, 6, 8)
    cells[2] = {"bytes": b"no image", "path": None}
    pd.DataFrame({"image": cells, "label": ["a", "b"] * 2}).to_parquet(tmp_path / "own.parquet")
    assert "own.parquet, row 2 is no image that can be read" in _refused(tmp_path / "own.parquet")


def test_a_file_that_is_no_parquet(tmp_path: Path):
    pytest.importorskip("pyarrow")
    (tmp_path / "own.parquet").write_bytes(b"PAR1 but no more")
    assert "own.parquet is no Parquet file that can be read" in _refused(tmp_path / "own.parquet")


def test_a_missing_package_is_told_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own.parquet").write_bytes(b"PAR1")
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "needs pyarrow: run `pip install 'pppl[hf]'`" in _refused(tmp_path / "own.parquet")


def test_commas_in_numbers_are_decimal_only_where_they_separate_no_cells(tmp_path: Path):
    path = tmp_path / "own.csv"
    path.write_text("label;v\na;1,5\nb;2,25\n")
    table = CsvTable(path)
    assert table.numbers("v").tolist() == [1.5, 2.25]
    assert table.how.endswith("with decimal commas (1,5 is read as 1.5)")
    path.write_text('label,v\na,"12,034"\nb,"7"\n')
    assert CsvTable(path).kinds["v"] == "text", "it may be twelve thousand"
    with pytest.raises(UserError, match="line 2: v is '12,034', which is no finite number"):
        CsvTable(path).numbers("v")

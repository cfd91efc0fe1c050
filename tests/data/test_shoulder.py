"""Shoulder exercises out of the package that has them: a pickle from elsewhere, never loaded as one."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pppl.cli.command import main
from pppl.data import load_dataset
from pppl.data.sources.shoulder import convert
from pppl.system.errors import UserError


def _package(folder: Path, held: object) -> Path:
    """As seglearn 1.2.5 has them: an array of one object."""
    (folder / "data").mkdir(parents=True)
    array = np.empty((), object)
    array[()] = held
    np.save(folder / "data" / "watch_dataset.npy", array, allow_pickle=True)
    (folder / "__init__.py").write_text("raise RuntimeError('nothing is imported')")
    return folder


def _held() -> dict[str, Any]:
    """Three recordings of 6 axes, of two subjects."""
    rng = np.random.default_rng(0)
    recordings = [rng.normal(size=(steps, 6)) for steps in (128, 200, 300)]
    labels = {"y": np.array([1, 0, 1]), "subject": np.array([7, 2, 7]), "y_labels": ["PEN", "ABD"]}
    return {"X": recordings, "side": np.array([0, 1, 0]), **labels}


def test_windows_overlap_by_half_and_know_their_recording(tmp_path: Path):
    held = _held()
    convert(_package(tmp_path / "seglearn", held), tmp_path / "out.npz")
    dataset = load_dataset(str(tmp_path / "out.npz"))
    assert dataset.x.shape == (1 + 2 + 3, 6, 128)
    assert dataset.recording is not None
    assert dataset.recording.tolist() == [0, 1, 1, 2, 2, 2]
    assert dataset.y.tolist() == [1, 0, 0, 1, 1, 1]
    assert dataset.identities == ("subject02", "subject07")
    assert dataset.identity is not None
    assert dataset.identity.tolist() == [1, 0, 0, 1, 1, 1]
    third = np.asarray(held["X"][2], np.float16).astype(np.float32)
    np.testing.assert_array_equal(dataset.x[4].numpy(), third[64:192].T)


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, ("made-by-a-pickle",)


def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"is not the data of seglearn 1\.2\.5 \(it asks for \w+\.mkdir\)"):
        convert(_package(tmp_path / "seglearn", _Hostile()), tmp_path / "out.npz")
    assert not (tmp_path / "made-by-a-pickle").exists()
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("damage", ["short", "other"])
def test_what_is_damaged_is_refused(damage: str, tmp_path: Path):
    folder = _package(tmp_path / "seglearn", _held() if damage == "short" else {"X": []})
    path = folder / "data" / "watch_dataset.npy"
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"pip install seglearn==1\.2\.5"):
        convert(folder, tmp_path / "out.npz")


def test_the_command_finds_the_package_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PPPL_DATA", str(tmp_path / "data"))
    assert main(["data", "prepare", "shoulder_exercises"]) == 2
    assert "`pip install seglearn`, then `pppl data prepare shoulder_exercises`" in capsys.readouterr().err
    _package(tmp_path / "site" / "seglearn", _held())
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert main(["data", "prepare", "shoulder_exercises"]) == 0
    assert load_dataset("shoulder_exercises").name == "shoulder_exercises"

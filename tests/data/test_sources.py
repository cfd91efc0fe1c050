"""The registry, the data folder, and the real data sets where `PPPL_DATA` has them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch

from pppl.cli.command import main
from pppl.data import SOURCES, IdentityDataset, load_dataset
from pppl.data.catalogue import data_folder
from pppl.system.errors import UserError


def _real(name: str) -> IdentityDataset:
    if not SOURCES[name].present():
        pytest.skip(str(SOURCES[name].missing(name)))
    return load_dataset(name)


def test_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PPPL_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setenv("PPPL_DATA", "~/somewhere")
    assert data_folder() == Path.home() / "somewhere"
    monkeypatch.delenv("PPPL_DATA")
    assert data_folder() == platformdirs.user_cache_path("pppl") / "data"


def test_the_list_tells_what_is_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PPPL_DATA", str(tmp_path))
    (tmp_path / "omniglot.npz").write_bytes(b"")
    assert main(["data", "list"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "samples", "size", "identities", "licence", "present"]
    assert [row.split()[0] for row in rows] == list(SOURCES)
    present = {row.split()[0]: row.split()[-1] for row in rows}
    assert present == {name: "yes" if name in ("digits", "omniglot") else "no" for name in SOURCES}
    licence = header.index("licence")
    assert all(row[licence - 2 : licence] == "  " and row[licence] != " " for row in rows)


def test_sources_are_complete():
    for name, source in SOURCES.items():
        assert not source.archives or source.file
        assert source.archives or source.package or source.origin or not source.file, name
        for archive in source.archives:
            algorithm, digest = archive.hash.split(":")
            assert len(bytes.fromhex(digest)) == {"md5": 16, "sha256": 32}[algorithm]


@pytest.mark.parametrize("name", [name for name in SOURCES if SOURCES[name].file])
def test_what_is_missing_is_told_in_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PPPL_DATA", str(tmp_path))
    with pytest.raises(UserError, match=f"data set {name} is not there") as error:
        load_dataset(name)
    message = str(error.value)
    assert "\n" not in message
    assert str(tmp_path / SOURCES[name].file) in message
    assert (f"`pppl data prepare {name}`" in message) == bool(SOURCES[name].archives or SOURCES[name].package)


def test_an_unknown_name():
    with pytest.raises(UserError, match=r"unknown data set 'omniglott': did you mean 'omniglot'\?"):
        load_dataset("omniglott")


def test_listing_needs_no_download_or_audio_library():
    heavy = {"pooch", "requests", "PIL", "soundfile"}
    code = (
        f"import sys, pppl.cli; pppl.cli.main(['data', 'list']); "
        f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_digits_are_what_a_network_is_given(digits: IdentityDataset):
    assert digits.standardized
    assert torch.equal(digits.inputs(np.arange(5)), digits.x[:5])


def test_cifar10():
    dataset = _real("cifar10")
    assert dataset.x.shape == (60_000, 3, 32, 32)
    assert dataset.x.dtype == torch.uint8
    assert dataset.classes[0] == "airplane"
    assert np.bincount(dataset.split).tolist() == [50_000, 0, 10_000]
    assert np.bincount(dataset.y.numpy()).tolist() == [6_000] * 10
    assert dataset.identity is None
    inputs = dataset.inputs(np.arange(1000))
    assert inputs.mean().abs() < 0.3
    assert 0.8 < inputs.std() < 1.3


def test_arabic_speech_commands():
    dataset = _real("arabic_speech_commands")
    assert dataset.name == "arabic_speech_commands"
    assert dataset.x.shape == (12_000, 1, 49, 40)
    assert len(dataset.classes) == 40
    assert dataset.identity is not None
    cells = np.bincount(dataset.identity * 40 + dataset.y.numpy())
    assert cells.tolist() == [10] * 1200
    speakers = [set(np.asarray(dataset.identity)[dataset.rows(split)].tolist()) for split in range(3)]
    assert [len(some) for some in speakers] == [18, 6, 6]
    assert len(set.union(*speakers)) == 30
    assert dataset.inputs(np.arange(1)).min() > np.log(1e-6) - 0.1


def test_mnist_writers():
    dataset = _real("mnist_writers")
    assert dataset.x.shape == (70_000, 1, 28, 28)
    assert dataset.identity is not None
    assert len(dataset.identities) == len(np.unique(dataset.identity)) == 836
    assert not set(dataset.identity[dataset.rows(0)]) & set(dataset.identity[dataset.rows(2)])
    assert dataset.inputs(np.arange(1)).max() <= 1


def test_omniglot():
    dataset = _real("omniglot")
    assert dataset.x.shape == (32_460, 1, 28, 28)
    assert len(dataset.classes) == 1_623
    assert dataset.x.double().mean() < 40, "ink is 255, and little of the image"

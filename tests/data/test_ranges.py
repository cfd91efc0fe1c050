"""Values of another range than training's are told; large means beside small spreads lose no digits."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pppl.backbones import build, spec_for
from pppl.config import PersonSettings
from pppl.data import IdentityDataset, load_dataset, split_for
from pppl.data.features import LogMel
from pppl.data.npz import load_npz
from pppl.data.preprocessing import Preprocessing
from pppl.data.samples import read_samples
from pppl.deploy import Deployed
from pppl.system.errors import UserError

GREY = Preprocessing(classes=("no", "yes"), shape=(1, 4, 4), gain=(1.0,), bias=(0.0,), pixels=(0.0, 1.0))
HEARS = Preprocessing(classes=("no", "yes"), shape=(1, 49, 40), gain=(0.5,), bias=(1.0,), log_mel=LogMel())
COUNT = 120


def _series(seed: int = 0) -> np.ndarray:
    """Of three channels in different units, `(N, 3, 8)` float64."""
    x = np.random.default_rng(seed).normal(size=(COUNT, 3, 8))
    return x * np.array([0.3, 2.0, 500.0])[:, None] + np.array([0.1, 20.0, 101_325.0])[:, None]


def _trained(x: np.ndarray, folder: Path, **arrays: object) -> tuple[IdentityDataset, IdentityDataset, Preprocessing]:
    """A data set as it was read, split and standardized, and what a device must know of it."""
    path = folder / "everybody.npz"
    y = np.arange(len(x)) % 2
    np.savez(path, x=x, y=y, classes=["no", "yes"], **arrays)  # type: ignore[arg-type] (any arrays)
    source = load_npz(path)
    split = split_for(source, PersonSettings(), 0)
    return source, split, Preprocessing.from_json(Preprocessing.of(source, split).to_json())


def _notes(x: np.ndarray, preprocessing: Preprocessing, folder: Path) -> tuple[str, ...]:
    np.savez(folder / "own.npz", x=x)
    return read_samples(str(folder / "own.npz"), preprocessing).notes


def test_values_of_training_are_no_news(tmp_path: Path):
    preprocessing = _trained(_series(), tmp_path)[2]
    assert _notes(_series(1)[:5], preprocessing, tmp_path) == ()
    assert _notes(np.random.default_rng(0).random((5, 1, 4, 4)), GREY, tmp_path) == ()


@pytest.mark.parametrize(
    ("factor", "more"),
    [([1, 255, 1], 0), ([1, 1, 1], np.array([[0.0], [273.15], [0.0]])), ([1000, 1000, 1000], 0), ([1, 1, -1], 0)],
)
def test_a_channel_in_another_unit_is_refused_by_name(factor: list, more: float | np.ndarray, tmp_path: Path):
    preprocessing = _trained(_series(), tmp_path)[2]
    with pytest.raises(UserError, match=r"own\.npz has values from .* in channel [012].*range") as raised:
        _notes(_series(1)[:5] * np.array(factor)[:, None] + more, preprocessing, tmp_path)
    assert "report" not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: (x - x.mean((0, 2))[:, None]) / x.std((0, 2))[:, None] * 0.01 + x.mean((0, 2))[:, None],
        lambda x: x * 0 + x.mean((0, 2))[:, None],
        lambda x: (x - x.mean((0, 2))[:, None]) * 7 + x.mean((0, 2))[:, None],
    ],
)
def test_an_odd_spread_is_told(change, tmp_path: Path):
    preprocessing = _trained(_series(), tmp_path)[2]
    (note,) = _notes(change(_series(1)), preprocessing, tmp_path)
    assert "own.npz" in note
    assert "unit" in note


@pytest.mark.parametrize("top", [16, 255, 65535])
def test_images_of_another_scale_are_refused(top: float, tmp_path: Path):
    x = np.random.default_rng(0).random((3, 1, 4, 4)) * top
    with pytest.raises(UserError, match="range"):
        _notes(x, GREY, tmp_path)
    small = Preprocessing(classes=("no", "yes"), shape=(1, 4, 4), gain=(1 / top,), bias=(0.0,), pixels=(0.0, top))
    assert _notes(x, small, tmp_path) == ()
    if top > 100:
        (note,) = _notes(x / top, small, tmp_path)
        assert "range" in note


def test_standardized_images_are_told_where_pixels_are_expected(tmp_path: Path):
    x = np.random.default_rng(0).normal(size=(3, 1, 4, 4))
    (note,) = _notes(x.clip(-2, 2), GREY, tmp_path)
    assert "range" in note


def test_log_mels_in_decibels_are_refused(tmp_path: Path):
    decibels = np.random.default_rng(0).uniform(-200, -80, size=(2, 1, 49, 40))
    with pytest.raises(UserError, match="range"):
        _notes(decibels, HEARS, tmp_path)


@pytest.mark.parametrize(
    ("kind", "most", "pixels"),
    [
        (np.uint8, 255, (0, 255)),
        (np.float32, 1, (0, 1)),
        (np.float32, 255, (0, 255)),
        (np.uint8, 1, (0, 1)),
        (np.uint8, 16, None),
    ],
)
def test_black_and_white_are_those_of_the_data(kind: type, most: int, pixels: tuple | None, tmp_path: Path):
    x = np.random.default_rng(0).integers(most + 1, size=(COUNT, 1, 4, 4)).astype(kind)
    assert _trained(x, tmp_path)[2].pixels == pixels


@pytest.mark.parametrize(
    ("mean", "spread", "kind"),
    [(1e6, 1.0, "f4"), (1e6, 1.0, "f8"), (1.7e9, 0.01, "f8"), (101_325.0, 0.5, ">f8"), (-3e4, 2.0, "f4")],
)
def test_large_means_beside_small_spreads_lose_no_digits(mean: float, spread: float, kind: str, tmp_path: Path):
    x = _series()
    x[:, 1] = np.random.default_rng(2).normal(mean, spread, size=(COUNT, 8))
    x = x.astype(kind)
    source, split, preprocessing = _trained(x, tmp_path)
    train, exact = np.flatnonzero(split.split == 0), x.astype(float) - np.array([0, mean, 0])[:, None]
    wanted = (exact - exact[train].mean((0, 2))[:, None]) / exact[train].std((0, 2))[:, None]
    np.testing.assert_allclose(split.inputs(np.arange(COUNT)), wanted, atol=1e-5)
    np.savez(tmp_path / "own.npz", x=x)
    samples = read_samples(str(tmp_path / "own.npz"), preprocessing)
    np.testing.assert_allclose(preprocessing(samples.values), wanted, atol=2e-5)
    assert any("single precision" in note for note in samples.notes) == (mean * 6e-8 > 1e-3 * spread)
    torch.testing.assert_close(split.to("cpu").inputs(train), split.inputs(train))
    assert source.sha256 != split.sha256


def test_bytes_with_an_offset_lose_no_digits(tmp_path: Path):
    x = np.random.default_rng(0).integers(256, size=(COUNT, 2, 8)).astype(np.uint8)
    _, split, preprocessing = _trained(x, tmp_path, scale=np.array([0.01, 1.0]), offset=np.array([1e6, 0.0]))
    np.savez(tmp_path / "own.npz", x=x, scale=[0.01, 1.0], offset=[1e6, 0.0])
    values = read_samples(str(tmp_path / "own.npz"), preprocessing).values
    torch.testing.assert_close(preprocessing(values), split.to_inputs(split.x), atol=1e-5, rtol=0)


def test_networks_as_deployed_subtract_first(tmp_path: Path):
    x = _series()
    x[:, 0] += 1e5
    _, split, preprocessing = _trained(x.astype(np.float32), tmp_path)
    assert preprocessing.shift[0] == pytest.approx(1e5, rel=1e-3)
    assert Preprocessing.from_json(json.dumps(json.loads(preprocessing.to_json()))) == preprocessing
    torch.manual_seed(0)
    network = build(spec_for("convnet", {"widths": (4, 4, 4)}, (3, 8), 2)).eval()
    deployed = Deployed(network, preprocessing)
    values = torch.from_numpy(x.astype(np.float32))
    with torch.inference_mode():
        expected = network(split.inputs(np.arange(COUNT)))
        torch.testing.assert_close(deployed(values), expected, atol=1e-4, rtol=1e-4)


def test_a_dead_channel_is_not_blown_up(tmp_path: Path):
    x = _series()
    x[:, 0] = 1e5 + np.float64(0.1)
    x[::2, 0] += 1e-8  # rounding noise of float64
    _, split, preprocessing = _trained(x, tmp_path)
    assert split.inputs(np.arange(COUNT))[:, 0].abs().max() < 0.01
    assert preprocessing.gain[0] == 1


def test_data_near_zero_are_given_as_ever():
    digits = load_dataset("digits")
    split = split_for(digits, PersonSettings(), 0)
    assert split.center is None
    assert Preprocessing.of(digits, split).shift == ()
    x = torch.from_numpy(_series()[:, :2]).float()
    dataset = IdentityDataset(name="series", x=x, y=torch.arange(COUNT) % 2, classes=("no", "yes"))
    standardized = split_for(dataset, PersonSettings(), 0)
    assert standardized.center is None
    scale, offset = (each.view(1, -1, 1) for each in (standardized.scale, standardized.offset))
    assert torch.equal(standardized.inputs(np.arange(COUNT)), torch.addcmul(offset, x, scale))


def test_a_person_whose_samples_are_written_by_other_axes_is_told(tmp_path: Path):
    preprocessing = _trained(_series(), tmp_path)[2]
    with pytest.raises(UserError, match=r"shape \(8, 3\).* axes"):
        _notes(_series().transpose(0, 2, 1), preprocessing, tmp_path)

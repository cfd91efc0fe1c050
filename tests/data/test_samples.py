"""A person's samples, as files and folders come."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pppl.config import PersonSettings
from pppl.data import IdentityDataset, load_dataset, split_for
from pppl.data.features import LogMel
from pppl.data.preprocessing import Preprocessing
from pppl.data.samples import read_files, read_samples
from pppl.system.errors import UserError

HEARS = Preprocessing(classes=("no", "yes"), shape=(1, 49, 40), gain=(0.5,), bias=(1.0,), log_mel=LogMel(), pixels=None)
SEES = Preprocessing(classes=("no", "yes"), shape=(3, 4, 6), gain=(0.1,) * 3, bias=(0.0,), pixels=(0.0, 255.0))
MOVES = Preprocessing(classes=("no", "yes"), shape=(2, 5), gain=(2.0, 3.0), bias=(0.0, 1.0))


def _tone(rate: int, seconds: float = 1.0, loud: float = 0.5) -> np.ndarray:
    return loud * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)


def test_a_recording_is_the_same_in_whatever_form_it_comes(tmp_path: Path):
    tone = _tone(16000)
    forms = {"plain": (tone, 16000, "PCM_16"), "stereo": (np.stack([tone, tone], 1), 16000, "PCM_16")}
    forms |= {"eight": (tone, 16000, "PCM_U8"), "cd": (_tone(44100), 44100, "PCM_16"), "float": (tone, 16000, "FLOAT")}
    for name, (samples, rate, subtype) in forms.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, rate, subtype=subtype)
    read = read_files([tmp_path / f"{name}.wav" for name in forms], HEARS)
    assert read.waveforms is not None
    assert read.waveforms.shape == (5, 16000)
    assert read.labels is None
    assert read.notes == ()
    torch.testing.assert_close(read.waveforms, read.waveforms[:1].expand(5, -1), atol=0.01, rtol=0)
    torch.testing.assert_close(read.values, HEARS.log_mel(read.waveforms))  # type: ignore[misc] (None of what does not hear)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(16000), "is silent"),
        (np.full(16000, 1e-5), "is silent"),
        (np.zeros(0), "has no samples"),
        (_tone(16000, 0.02), r"is too short \(20.0 ms\): give 30 ms or more"),
    ],
)
def test_a_recording_of_no_use_is_refused_by_name(samples: np.ndarray, message: str, tmp_path: Path):
    soundfile.write(tmp_path / "bad.wav", samples, 16000)
    with pytest.raises(UserError, match=rf"bad\.wav {message}"):
        read_samples(str(tmp_path / "bad.wav"), HEARS)


def test_a_clipped_recording_is_used_and_told(tmp_path: Path):
    soundfile.write(tmp_path / "loud.wav", np.clip(_tone(16000, loud=3), -1, 1), 16000)
    (note,) = read_samples(str(tmp_path / "loud.wav"), HEARS).notes
    assert "loud.wav is clipped (78% of it at full scale)" in note


@given(cut=st.integers(0, 2000), flips=st.lists(st.tuples(st.integers(0, 1999), st.integers(0, 255)), max_size=4))
def test_a_corrupted_recording_is_read_or_refused_by_name(
    cut: int, flips: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
):
    file = io.BytesIO()
    soundfile.write(file, _tone(16000, 0.06), 16000, format="WAV")
    content = bytearray(file.getvalue())
    for position, value in flips:
        content[position % 60] ^= value  # the header
    path = tmp_path_factory.mktemp("wav") / "hurt.wav"
    path.write_bytes(bytes(content[:cut]))
    refusal = ""
    try:
        assert read_samples(str(path), HEARS).values.isfinite().all()
    except UserError as error:
        refusal = str(error)
    assert not refusal or "hurt.wav" in refusal


def test_sub_folders_are_classes(tmp_path: Path, capsys: pytest.CaptureFixture):
    for label, names in {"yes": ["b", "a"], "no": ["c"]}.items():
        (tmp_path / label).mkdir()
        for name in names:
            soundfile.write(tmp_path / label / f"{name}.wav", _tone(8000), 8000)
    samples = read_samples(str(tmp_path), HEARS)
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 1, 1]
    assert [Path(name).name for name in samples.names] == ["c.wav", "a.wav", "b.wav"]
    (tmp_path / "yess").mkdir()
    with pytest.raises(UserError, match="did you mean 'yes'"):
        read_samples(str(tmp_path), HEARS)


def test_images_are_made_the_size_and_the_range_that_the_network_takes(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(256, size=(4, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).resize((12, 8), Image.Resampling.NEAREST).save(tmp_path / "b.png")
    samples = read_samples(str(tmp_path), SEES)
    np.testing.assert_array_equal(samples.values[0].permute(1, 2, 0), pixels)
    assert samples.values.shape == (2, 3, 4, 6)
    assert [note.partition("b.png ")[2] for note in samples.notes] == ["is 12 x 8, made 6 x 4"]
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(UserError, match=r"c\.png is no image that can be read"):
        read_samples(str(tmp_path), SEES)


def test_arrays_come_with_or_without_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    x = np.random.default_rng(0).integers(256, size=(3, 2, 5), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=x, scale=[0.5], offset=[1.0])
    samples = read_samples(str(tmp_path / "a.npz"), MOVES)
    np.testing.assert_allclose(samples.values, x * 0.5 + 1)
    assert samples.labels is None
    np.savez(tmp_path / "b.npz", x=x, y=[1, 1, 0], classes=["yes", "no"])
    labels = read_samples(str(tmp_path / "b.npz"), MOVES).labels
    assert labels is not None
    assert labels.tolist() == [0, 0, 1]  # in the network's order
    np.savez(tmp_path / "c.npz", x=x, y=[1, 1, 1], classes=["yes", "nope"])
    with pytest.raises(UserError, match=r"c\.npz: unknown class 'nope'"):
        read_samples(str(tmp_path / "c.npz"), MOVES)
    np.save(tmp_path / "one.npy", x[0].astype(float))
    np.save(tmp_path / "two.npy", x[1:])
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{tmp_path}/one.npy\n\n{tmp_path}/two.npy\n"))
    listed = read_samples("-", MOVES)
    np.testing.assert_array_equal(listed.values, x)
    assert [Path(name).name for name in listed.names] == ["one.npy", "two.npy[0]", "two.npy[1]"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.wav", b"RIFF", "is a recording, but this network takes arrays"),
        ("a.png", b"", r"is an image, but this network takes arrays of shape \(2, 5\)"),
        ("a.txt", b"", "is of no known kind: give one of .npz"),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00", "is no array that can be read"),
    ],
)
def test_what_the_network_cannot_take_is_refused_by_name(name: str, content: bytes, message: str, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_samples(str(tmp_path / name), MOVES)
    with pytest.raises(UserError, match="is not there"):
        read_samples(str(tmp_path / f"no-{name}"), MOVES)


def test_log_mels_are_no_recordings(tmp_path: Path):
    np.save(tmp_path / "log_mel.npy", np.zeros((1, 49, 40)))
    samples = read_samples(str(tmp_path / "log_mel.npy"), HEARS)
    assert samples.given(raw_audio=False) is samples.values
    with pytest.raises(UserError, match=r"log_mel\.npy is not a recording"):
        samples.given(raw_audio=True)


def test_an_array_that_claims_to_be_huge_is_not_allocated(tmp_path: Path):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 2, 5)})
    (tmp_path / "huge.npy").write_bytes(file.getvalue())
    with pytest.raises(UserError, match=r"huge\.npy is no array"):
        read_samples(str(tmp_path / "huge.npy"), MOVES)


@pytest.mark.parametrize("stored", ["uint8", "float32", "standardized"])
def test_preprocessing_makes_the_inputs_that_networks_were_trained_on(stored: str):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (200, 3, 4, 4), generator=generator).to(torch.uint8 if stored == "uint8" else torch.float32)
    source = IdentityDataset(
        name="random",
        x=x,
        y=torch.arange(200) % 2,
        classes=("no", "yes"),
        scale=torch.tensor([0.1, 0.2, 0.3]),
        offset=torch.tensor([-1.0]),
        standardized=stored == "standardized",
    )
    split = split_for(source, PersonSettings(), seed=0)
    physical = x.float() if source.standardized else source.to_inputs(x)
    made = Preprocessing.of(source, split)
    torch.testing.assert_close(made(physical), split.to_inputs(x), atol=1e-5, rtol=1e-5)
    assert Preprocessing.from_json(made.to_json()) == made


def test_pixels_of_the_digits_are_between_black_and_white():
    digits = load_dataset("digits")
    made = Preprocessing.of(digits, split_for(digits, PersonSettings(), seed=0))
    assert made.pixels == (0.0, 1.0)
    assert made.shape == (1, 8, 8)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [1, 10**5, 10**5]},
        {"shape": [1, 49]},
        {"shape": "1"},
        {"shape": [True, 49, 40]},
        {"gain": [float("nan")]},
        {"gain": [1, 2]},
        {"classes": ["one"]},
        {"classes": [1, 2]},
        {"log_mel": {}},
        {"log_mel": {**vars(LogMel()), "fft": 2**40}},
        {"log_mel": {**vars(LogMel()), "seconds": 1e9}},
        {"log_mel": {**vars(LogMel()), "hop": 160}},
        {"more": 1},
    ],
)
def test_an_impossible_description_is_refused(changes: dict):
    tree = json.loads(HEARS.to_json()) | {
        key: {k: v for k, v in value.items() if k in LogMel.__dataclass_fields__} if key == "log_mel" else value
        for key, value in changes.items()
    }
    with pytest.raises(UserError):
        Preprocessing.from_json(json.dumps(tree))

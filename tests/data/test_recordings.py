"""Recordings are judged, and cut, by what the network hears of them."""

import io
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pppl.data.audio import read_recording
from pppl.data.features import LogMel
from pppl.data.preprocessing import Preprocessing
from pppl.data.samples import Samples, read_samples
from pppl.system.errors import UserError

RATE = 16000
HEARS = Preprocessing(classes=("no", "yes"), shape=(1, 49, 40), gain=(0.5,), bias=(1.0,), log_mel=LogMel())
WORD = 0.3 * np.sin(np.arange(RATE // 2) * 0.2)
RNG = np.random.default_rng(0)


def _noise(seconds: float, loud: float = 1e-3) -> np.ndarray:
    return RNG.normal(size=round(seconds * RATE)) * loud


def _read(path: Path, *parts: np.ndarray, rate: int = RATE, **more: str) -> Samples:
    soundfile.write(path, np.concatenate(parts), rate, **more)
    return read_samples(str(path), HEARS)


def _heard(samples: Samples) -> np.ndarray:
    assert samples.waveforms is not None
    return samples.waveforms.numpy()[0]


@pytest.mark.parametrize("before", [0.0, 0.1, 1.7, 3.0])
def test_a_word_anywhere_is_heard_whole(before: float, tmp_path: Path):
    samples = _read(tmp_path / "w.wav", _noise(before), WORD, _noise(3 - before))
    assert np.square(_heard(samples)).sum() > 0.99 * np.square(WORD).sum()
    assert all("3.50 s long" in note for note in samples.notes)
    assert bool(samples.notes) == (before != 1.7)  # which is about the middle


def test_a_word_is_in_the_middle_of_what_is_heard_where_there_is_room(tmp_path: Path):
    heard = np.flatnonzero(_heard(_read(tmp_path / "w.wav", np.zeros(RATE), WORD, np.zeros(3 * RATE))))
    assert (heard[0] + heard[-1]) / 2 == pytest.approx(RATE / 2, abs=100)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_a_word_is_found_at_other_rates(rate: int, tmp_path: Path):
    word = 0.3 * np.sin(np.arange(rate // 2) * 2000 / rate)
    heard = _heard(_read(tmp_path / "w.wav", np.zeros(2 * rate), word, np.zeros(rate // 4), rate=rate))
    assert np.square(heard).mean() == pytest.approx(0.3**2 / 4, rel=0.05)


def test_a_click_is_no_word(tmp_path: Path):
    click = np.concatenate([[0.99, -0.99] * 20, np.zeros(RATE)])
    heard = _heard(_read(tmp_path / "w.wav", click, _noise(1), WORD, _noise(1)))
    assert np.abs(heard).max() < 0.5


def test_the_middle_stays_where_all_of_the_word_is_in_it(tmp_path: Path):
    whole = np.concatenate([np.zeros(5000), WORD, np.zeros(6001)])
    samples = _read(tmp_path / "w.wav", whole, subtype="FLOAT")
    excess = len(whole) - RATE
    np.testing.assert_allclose(_heard(samples), whole[excess // 2 : excess // 2 + RATE], atol=1e-6)
    assert samples.notes == ()


def test_speech_that_does_not_fit_is_told(tmp_path: Path):
    (note,) = _read(tmp_path / "w.wav", np.tile(WORD, 5)).notes
    assert "w.wav is 2.50 s long, the network hears 1 s" in note


def test_clipping_and_silence_are_those_of_what_is_heard(tmp_path: Path):
    loud = np.clip(5 * WORD, -1, 1)
    assert "clipped" in " ".join(_read(tmp_path / "w.wav", np.zeros(2 * RATE), loud).notes)
    assert "clipped" not in " ".join(_read(tmp_path / "w.wav", np.tile(WORD, 4), [1.0] * 700).notes)
    for subtype in ("PCM_U8", "ULAW", "ALAW"):
        assert "clipped" in " ".join(_read(tmp_path / "w.wav", loud, np.zeros(4000), subtype=subtype).notes)
    with pytest.raises(UserError, match=r"w\.wav is silent"):
        _read(tmp_path / "w.wav", np.full(RATE, 0.4))  # an offset and nothing else
    with pytest.raises(UserError, match=r"w\.wav is silent"):
        _read(tmp_path / "w.wav", np.full(2 * RATE, -1 / 128), subtype="PCM_U8")


def test_an_offset_is_taken_away_and_told(tmp_path: Path):
    samples = _read(tmp_path / "w.wav", WORD + 0.2, subtype="FLOAT")
    assert "offset of 0.2" in samples.notes[0]
    plain = _read(tmp_path / "p.wav", WORD, subtype="FLOAT")
    np.testing.assert_allclose(_heard(samples), _heard(plain), atol=1e-3)


def test_quiet_recordings_are_told(tmp_path: Path):
    assert "very quiet" in _read(tmp_path / "w.wav", WORD / 100, subtype="FLOAT").notes[0]


@pytest.mark.parametrize(
    ("channels", "told"),
    [
        ([WORD, -WORD], True),
        ([WORD, 0 * WORD], True),
        ([0 * WORD, WORD, 0 * WORD], True),
        ([WORD, WORD], False),
        ([WORD, 0.6 * WORD], False),
    ],
)
def test_channels_that_cancel_leave_the_loudest(channels: list[np.ndarray], told: bool, tmp_path: Path):
    soundfile.write(tmp_path / "w.wav", np.stack(channels, 1), RATE, subtype="FLOAT")
    recording = read_recording(tmp_path / "w.wav")
    assert bool(recording.notes) == told
    expected = WORD if told else np.mean(channels, 0)
    np.testing.assert_allclose(recording.waveform, expected, atol=1e-6)


@pytest.mark.parametrize("rate", [1, 50, 1_000_000, 10_000_000, 2**31 - 1])
def test_a_rate_that_no_recorder_has_is_refused_at_once(rate: int, tmp_path: Path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=rf"w\.wav has a rate of {rate} Hz"):
        _read(tmp_path / "w.wav", WORD, rate=rate)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_hours_are_refused_by_the_header(tmp_path: Path):
    soundfile.write(tmp_path / "w.flac", WORD, RATE)
    content = bytearray((tmp_path / "w.flac").read_bytes())
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4  # 50 days, by its header
    (tmp_path / "w.flac").write_bytes(content)
    with pytest.raises(UserError, match=r"w\.flac is 4,294,967 s long according to its header"):
        read_samples(str(tmp_path / "w.flac"), HEARS)


@pytest.mark.parametrize("format_", ["WAV", "AIFF"])
def test_a_file_that_is_cut_off_is_told(format_: str, tmp_path: Path):
    file = io.BytesIO()
    soundfile.write(file, np.tile(WORD, 2), RATE, format=format_, subtype="PCM_16")
    content = file.getvalue()
    (tmp_path / "w.wav").write_bytes(content[: len(content) // 2])
    (note,) = read_samples(str(tmp_path / "w.wav"), HEARS).notes
    assert "cut off" in note
    if format_ == "WAV":  # whose writer could not go back to the header, as through a pipe
        (tmp_path / "w.wav").write_bytes(content[:40] + b"\xff" * 4 + content[44:])
        assert read_samples(str(tmp_path / "w.wav"), HEARS).notes == ()


def test_floats_beyond_full_scale(tmp_path: Path):
    assert "1.50 times full scale" in _read(tmp_path / "w.wav", 5 * WORD, subtype="FLOAT").notes[0]
    with pytest.raises(UserError, match=r"w\.wav reaches 9830 times full scale"):
        _read(tmp_path / "w.wav", 32768 * WORD, subtype="FLOAT")
    with pytest.raises(UserError, match=r"w\.wav holds NaN or infinite values"):
        _read(tmp_path / "w.wav", WORD, [1e300], subtype="DOUBLE")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
def test_a_word_is_as_loud_in_every_encoding(subtype: str, tmp_path: Path):
    np.testing.assert_allclose(_heard(_read(tmp_path / "w.wav", WORD, subtype=subtype))[4000:12000], WORD, atol=0.01)


@pytest.mark.parametrize("format_", ["FLAC", "OGG", "AIFF", "AU"])
def test_a_wrong_suffix_does_not_matter(format_: str, tmp_path: Path):
    soundfile.write(tmp_path / "w.bin", WORD, RATE, format=format_)
    (tmp_path / "w.bin").rename(tmp_path / "w.wav")
    assert _heard(read_samples(str(tmp_path / "w.wav"), HEARS)).std() == pytest.approx(0.15, rel=0.02)

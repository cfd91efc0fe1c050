import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from pppl.data.audio import log_mels, read_clip, read_wav
from pppl.data.features import LogMel, fit_length, resample
from pppl.data.identities import TEST, TRAIN, VALIDATION
from pppl.data.sources import fsdd, speech_commands
from pppl.system.errors import UserError

FSDD = Path(os.environ.get("PPPL_DATA", "")) / "free-spoken-digit-dataset"


def _write(path: Path, hertz: float = 440.0, rate: int = 16000, seconds: float = 1.0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    waveform = (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)
    soundfile.write(path, waveform, rate, subtype="PCM_16")
    return waveform


def test_a_recording_is_the_mean_of_its_channels(tmp_path: Path):
    left, right = np.linspace(-1, 0.5, 100), np.linspace(0, 0.25, 100)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], axis=1), 22050, subtype="FLOAT")
    waveform, rate = read_wav(tmp_path / "two.wav")
    assert (rate, waveform.dtype, waveform.shape) == (22050, np.float32, (100,))
    np.testing.assert_allclose(waveform, (left + right) / 2, atol=1e-7)


def test_16_bits_are_read_exactly(tmp_path: Path):
    samples = np.array([-32768, -1, 0, 1, 32767], np.int16)
    soundfile.write(tmp_path / "bits.wav", samples, 8000, subtype="PCM_16")
    np.testing.assert_array_equal(read_wav(tmp_path / "bits.wav")[0] * 32768, samples)


def test_recordings_that_cannot_be_read(tmp_path: Path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan, 0.0]), 8000, subtype="FLOAT")
    messages = {
        "missing": "is not there: check",
        "folder": "is not there: check",
        "empty": r"is empty \(0 bytes\): download or unpack it again",
        "text": r"is no recording that can be read \(Format not recognised\): give a wav file",
        "none": "has no samples",
        "nan": "holds NaN or infinite values",
    }
    for name, message in messages.items():
        with pytest.raises(UserError, match=rf"{name}\.wav {message}") as raised:
            read_wav(tmp_path / f"{name}.wav")
        assert "\n" not in str(raised.value)


def test_clips_have_one_rate_and_length(tmp_path: Path):
    features = LogMel()
    paths = [tmp_path / f"{i}.wav" for i in range(300)]
    for i, path in enumerate(paths):
        _write(path, hertz=200 + 10 * i, rate=(8000, 16000, 22050)[i % 3], seconds=(0.3, 1.0)[i % 2])
    clips = [read_clip(path, features) for path in paths]
    assert {clip.shape for clip in clips} == {(16000,)}
    batches = list(log_mels(paths, features))
    assert [len(batch) for batch in batches] == [256, 44]
    torch.testing.assert_close(torch.cat(batches), features(torch.from_numpy(np.stack(clips))), atol=1e-4, rtol=1e-4)


@pytest.fixture
def digits_folder(tmp_path: Path) -> Path:
    for digit in range(10):
        for speaker in ("ann", "bob"):
            for index in (0, 4, 5, 9, 10, 49):
                path = tmp_path / "recordings" / f"{digit}_{speaker}_{index}.wav"
                _write(path, hertz=300 + 200 * digit, rate=8000, seconds=0.4)
    (tmp_path / "recordings" / ".DS_Store").touch()
    return tmp_path


def test_fsdd_names_say_digit_speaker_and_split(digits_folder: Path):
    dataset = fsdd.load(digits_folder)
    assert dataset.x.shape == (120, 1, 49, 40)
    assert dataset.x.dtype == torch.uint8
    assert dataset.classes == tuple("0123456789")
    assert dataset.identities == ("ann", "bob")
    assert dataset.identity is not None
    assert dataset.split is not None
    names = sorted(path.stem for path in (digits_folder / "recordings").glob("[0-9]*.wav"))
    expected_split = {"0": TEST, "4": TEST, "5": VALIDATION, "9": VALIDATION, "10": TRAIN, "49": TRAIN}
    for row, name in enumerate(names):
        digit, speaker, index = name.split("_")
        assert int(dataset.y[row]) == int(digit)
        assert dataset.identities[dataset.identity[row]] == speaker
        assert dataset.split[row] == expected_split[index]


def test_fsdd_samples_are_the_log_mels_of_their_files(digits_folder: Path):
    dataset = fsdd.load(digits_folder)
    waveform, rate = soundfile.read(digits_folder / "recordings" / "7_bob_49.wav", dtype="float32")
    clip = fit_length(resample(waveform, rate, 16000), 16000)
    expected = LogMel()(torch.from_numpy(clip)[None])
    row = sorted(path.stem for path in (digits_folder / "recordings").glob("[0-9]*.wav")).index("7_bob_49")
    values = dataset.x[row] * dataset.scale + dataset.offset
    torch.testing.assert_close(values, expected[0], atol=float(dataset.scale) / 2 + 1e-4, rtol=0)


def test_fsdd_folders_that_are_none(digits_folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"elsewhere/recordings is not there: put the recordings"):
        fsdd.load(tmp_path / "elsewhere")
    (tmp_path / "bare" / "recordings").mkdir(parents=True)
    with pytest.raises(UserError, match=r"bare/recordings is empty"):
        fsdd.load(tmp_path / "bare")
    _write(digits_folder / "recordings" / "eleven_ann_0.wav")
    with pytest.raises(UserError, match=r"eleven_ann_0\.wav is not named \{digit\}_\{speaker\}_\{index\}\.wav: move"):
        fsdd.load(digits_folder)
    (digits_folder / "recordings" / "eleven_ann_0.wav").rename(digits_folder / "recordings" / "1_ann_77.wav")
    (digits_folder / "recordings" / "2_bob_4.wav").write_text("broken")
    with pytest.raises(UserError, match=r"2_bob_4\.wav is no recording that can be read"):
        fsdd.load(digits_folder)


@pytest.mark.skipif(
    not FSDD.is_dir(),
    reason="needs the Free Spoken Digit Dataset in PPPL_DATA: `pppl data prepare fsdd` says how",
)
def test_the_real_spoken_digits():
    dataset = fsdd.load(FSDD)
    assert dataset.x.shape == (3000, 1, 49, 40)
    assert dataset.identities == ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    assert dataset.identity is not None
    assert dataset.split is not None
    cells = np.stack([dataset.y.numpy(), dataset.identity, dataset.split], axis=1)
    kinds, counts = np.unique(cells, axis=0, return_counts=True)
    assert len(kinds) == 10 * 6 * 3
    for (_, _, split), count in zip(kinds, counts, strict=True):
        assert count == {TRAIN: 40, VALIDATION: 5, TEST: 5}[int(split)]
    values = dataset.x.float() * dataset.scale + dataset.offset
    assert float(values[..., 36:].mean()) < -13 < float(values[..., :20].mean()), "nothing is above 4 kHz"


WORDS = {"yes": ("0a", "0b", "0c"), "no": ("0a", "0b"), "bed": ("0c", "0d")}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "speech"
    for hertz, (word, speakers) in enumerate(WORDS.items(), start=2):
        for number, speaker in enumerate(speakers):
            _write(folder / word / f"{speaker}_nohash_{number}.wav", hertz=200 * hertz, seconds=0.5 + 0.25 * number)
    _write(folder / "_background_noise_" / "running_tap.wav", seconds=2)
    (folder / "README.md").write_text("Speech Commands")
    (folder / "validation_list.txt").write_text("yes/0b_nohash_1.wav\nno/0b_nohash_1.wav\n")
    (folder / "testing_list.txt").write_text("bed/0d_nohash_1.wav\n")
    return folder


def test_speech_commands_become_an_identity_dataset(archive: Path, tmp_path: Path):
    destination = tmp_path / "made" / "speech-commands.npz"
    speech_commands.convert(archive, destination)
    assert [path.name for path in destination.parent.glob("[!.]*")] == [destination.name]
    with np.load(destination, allow_pickle=False) as data:
        arrays = dict(data)
    assert set(arrays) == {"x", "y", "classes", "identity", "identities", "split", "scale", "offset"}
    assert arrays["classes"].tolist() == ["bed", "no", "yes"]
    assert arrays["identities"].tolist() == ["0a", "0b", "0c", "0d"]
    assert (arrays["x"].shape, arrays["x"].dtype) == ((7, 1, 49, 40), np.uint8)
    assert (arrays["y"].dtype, arrays["identity"].dtype, arrays["split"].dtype) == (np.int64, np.int64, np.uint8)
    rows = zip(
        arrays["classes"][arrays["y"]], arrays["identities"][arrays["identity"]], arrays["split"].tolist(), strict=True
    )
    parts = {("yes", "0b"): VALIDATION, ("no", "0b"): VALIDATION, ("bed", "0d"): TEST}
    expected = {
        (word, speaker, parts.get((word, speaker), TRAIN)) for word, names in WORDS.items() for speaker in names
    }
    assert {(str(word), str(speaker), split) for word, speaker, split in rows} == expected

    row = list(zip(arrays["y"], arrays["identity"], strict=True)).index((2, 1))
    log_mel = LogMel()(torch.from_numpy(read_clip(archive / "yes" / "0b_nohash_1.wav", LogMel()))[None])
    restored = arrays["x"][row] * arrays["scale"] + arrays["offset"]
    np.testing.assert_allclose(restored, log_mel[0].numpy(), atol=arrays["scale"][0] / 2 + 1e-4)


def test_speech_commands_that_are_not_whole(archive: Path, tmp_path: Path):
    destination = tmp_path / "speech-commands.npz"

    def fails(message: str) -> None:
        with pytest.raises(UserError, match=message) as raised:
            speech_commands.convert(archive, destination)
        assert "\n" not in str(raised.value)
        assert not destination.exists()
        assert not list(tmp_path.glob(".speech*"))

    (archive / "no" / "0a_nohash_0.wav").write_text("broken")
    fails(r"no/0a_nohash_0\.wav is no recording that can be read")
    _write(archive / "no" / "0a_nohash_0.wav")
    (archive / "no" / "recording.wav").touch()
    fails(r"no/recording\.wav is not named <speaker>_nohash_<n>\.wav: move")
    (archive / "no" / "recording.wav").unlink()
    (archive / "bed" / "0d_nohash_1.wav").unlink()
    fails(r"bed/0d_nohash_1\.wav is listed in testing_list\.txt but not there \(one of 1\): unpack")
    (archive / "testing_list.txt").unlink()
    fails(r"testing_list\.txt is not there: unpack the archive")
    with pytest.raises(UserError, match="has no <word>/<speaker>_nohash_<n>"):
        speech_commands.convert(tmp_path / "nowhere", destination)

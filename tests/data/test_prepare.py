"""From the archives of a source, on a real server on this machine, to its samples."""

import io
import os
import socket
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
from archives import Server, left, packed_tar, packed_zip
from PIL import Image

from pppl.cli.command import main
from pppl.data import catalogue as sources
from pppl.data import load_dataset
from pppl.data.catalogue import SOURCES, Source
from pppl.data.download import Archive
from pppl.data.prepare import prepare
from pppl.system.errors import UserError


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPPL_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def _replace(monkeypatch: pytest.MonkeyPatch, name: str, **changes: object) -> None:
    source = SOURCES[name]
    fields = {field: getattr(source, field) for field in source.__dataclass_fields__} | changes
    monkeypatch.setitem(sources.SOURCES._entries, name, Source(**fields))


def _cifar(names: str, records: dict[str, np.ndarray], folder: str) -> bytes:
    return packed_tar(
        **{f"{folder}/{names}": b"apple\nbear\n\n", f"{folder}/readme.html": b"", f"{folder}/sub/x": b""},
        **{f"{folder}/{file}": record.tobytes() for file, record in records.items()},
    )


def test_cifar10_from_its_archive_to_samples(
    server: Server, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    rng = np.random.default_rng(0)
    files = [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]
    records = {file: rng.integers(0, 256, (4, 3073), np.uint8) for file in files}
    for record in records.values():
        record[:, 0] = [0, 1, 1, 0]
    content = _cifar("batches.meta.txt", records, "cifar-10-batches-bin")
    _replace(monkeypatch, "cifar10", archives=(server.add("cifar-10-binary.tar.gz", content),))
    with pytest.raises(UserError, match=r"cifar10 is not there: `pppl data prepare cifar10` downloads it \(170 MB\)"):
        load_dataset("cifar10")
    assert main(["data", "prepare", "cifar10"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"cifar10 is ready: {data / 'cifar-10-batches-bin'} (")
    assert captured.out.count("\n") == 1
    assert captured.err == ""
    assert left(data) == ["archives", "cifar-10-batches-bin"]
    dataset = load_dataset("cifar10")
    assert dataset.name == "cifar10"
    assert dataset.classes == ("apple", "bear")
    assert dataset.y.tolist() == [0, 1, 1, 0] * 6
    assert dataset.split.tolist() == [0] * 20 + [2] * 4
    assert dataset.standardized
    pixels = np.concatenate([records[file][:, 1:] for file in files]).reshape(-1, 3, 32, 32)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (pixels / 255 - mean[:, None, None]) / std[:, None, None]
    assert np.allclose(dataset.inputs(np.arange(24)).numpy(), expected, atol=1e-5)
    assert main(["data", "prepare", "cifar10"]) == 0
    assert capsys.readouterr().out == f"cifar10 is there: {data / 'cifar-10-batches-bin'}\n"
    assert len(server.asked) == 1


def test_cifar100_has_the_fine_classes(data: Path, server: Server, monkeypatch: pytest.MonkeyPatch):
    records = {file: np.zeros((3, 3074), np.uint8) for file in ("train.bin", "test.bin")}
    for record in records.values():
        record[:, :2], record[:, 2] = [[9, 0], [9, 1], [9, 1]], 255
    content = _cifar("fine_label_names.txt", records, "cifar-100-binary")
    _replace(monkeypatch, "cifar100", archives=(server.add("cifar-100-binary.tar.gz", content),))
    prepare("cifar100")
    dataset = load_dataset("cifar100")
    assert dataset.y.tolist() == [0, 1, 1] * 2
    assert dataset.split.tolist() == [0] * 3 + [2] * 3
    assert dataset.x[:, 0, 0, 0].tolist() == [255] * 6


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("test.bin", None, r"test\.bin is missing"),
        ("fine_label_names.txt", None, r"names\.txt is missing"),
        ("train.bin", b"\0" * 3073, "3,073 bytes are not a whole number of records"),
        ("train.bin", b"", "0 bytes are not a whole number of records"),
        ("train.bin", b"\7" * 3074, "label 7 of 2 classes"),
    ],
)
def test_a_damaged_cifar_folder(file: str, content: bytes | None, message: str, data: Path):
    folder = data / "cifar-100-binary"
    folder.mkdir(parents=True)
    (folder / "fine_label_names.txt").write_text("apple\nbear\n")
    for name in ("train.bin", "test.bin"):
        (folder / name).write_bytes(b"\0" * 3074)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(UserError, match=rf"{message}.*remove .*cifar-100-binary and run `pppl data prepare cifar100`"):
        load_dataset("cifar100")


def _png(black: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(~black).save(buffer, "png")
    return buffer.getvalue()


def _omniglot(server: Server, ink: np.ndarray) -> tuple[Archive, Archive]:
    """3 characters, of which the last is for evaluation; the numbers do not follow the alphabets' names."""
    folders = ("images_background/Zulu/character01", "images_background/Aleph/character01", "images_evaluation/B/c1")
    members = {
        f"{folder}/{number + 1:04d}_{drawer + 1:02d}.png": _png(ink[number, drawer])
        for number, folder in enumerate(folders)
        for drawer in range(ink.shape[1])
    }
    parts = ("images_background", "images_evaluation")
    archives = [
        server.add(f"{part}.zip", packed_zip(**{name: m for name, m in members.items() if name.startswith(part)}))
        for part in parts
    ]
    return archives[0], archives[1]


def test_omniglot_is_converted_once_from_two_archives(server: Server, data: Path, monkeypatch: pytest.MonkeyPatch):
    ink = np.random.default_rng(0).random((3, 2, 105, 105)) < 0.2
    _replace(monkeypatch, "omniglot", archives=_omniglot(server, ink))
    prepare("omniglot")
    assert left(data) == ["archives", "omniglot.npz"]
    assert load_dataset("omniglot").identity is None, "drawer 1 of one alphabet is not that of another"
    dataset = load_dataset(str(data / "omniglot.npz"))
    assert dataset.name == "omniglot"
    assert dataset.classes == ("character0001", "character0002", "character0003")
    assert dataset.identities == ("drawer01", "drawer02")
    assert dataset.y.tolist() == [0, 0, 1, 1, 2, 2]
    assert dataset.identity.tolist() == [0, 1] * 3
    assert dataset.split.tolist() == [0] * 4 + [2] * 2
    for row, drawing in enumerate(ink.reshape(-1, 105, 105)):
        small = Image.fromarray(drawing.astype(np.uint8) * 255).resize((28, 28), Image.Resampling.BOX)
        assert np.array_equal(dataset.x[row, 0].numpy(), np.asarray(small))


def _wav(seed: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(seed).integers(-999, 999, 16_000, np.int16).tobytes())
    return buffer.getvalue()


def test_speech_commands_from_the_archive_to_samples(server: Server, data: Path, monkeypatch: pytest.MonkeyPatch):
    names = [f"{word}/{speaker}_nohash_0.wav" for word in ("no", "yes") for speaker in ("0a", "1b", "2c")]
    lists = {"validation_list.txt": names[1], "testing_list.txt": f"{names[2]}\n{names[5]}"}
    recordings = {f"./{name}": _wav(seed) for seed, name in enumerate([*names, "_background_noise_/pink.wav"])}
    content = packed_tar(**recordings, **{f"./{name}": text.encode() for name, text in lists.items()})
    _replace(monkeypatch, "speech_commands", archives=(server.add("speech_commands_v0.02.tar.gz", content),))
    prepare("speech_commands")
    assert left(data) == ["archives", "speech-commands-v0.02.npz"]
    dataset = load_dataset("speech_commands")
    assert dataset.x.shape == (6, 1, 49, 40)
    assert dataset.classes == ("no", "yes")
    assert dataset.identities == ("0a", "1b", "2c")
    assert dataset.split.tolist() == [0, 1, 2, 0, 0, 2]


def test_an_interrupted_conversion_leaves_nothing(server: Server, data: Path, monkeypatch: pytest.MonkeyPatch):
    archives = _omniglot(server, np.zeros((3, 2, 105, 105), bool))
    converted = SOURCES["omniglot"].convert

    def interrupted(unpacked: Path, destination: Path) -> None:
        destination.write_bytes(b"half")
        raise KeyboardInterrupt

    _replace(monkeypatch, "omniglot", archives=archives, convert=interrupted)
    assert main(["data", "prepare", "omniglot"]) == 130
    assert left(data) == ["archives"]
    _replace(monkeypatch, "omniglot", convert=converted)
    prepare("omniglot")
    assert len(server.asked) == 2, "the archives are not downloaded again"
    assert len(load_dataset("omniglot").x) == 6


def test_archives_that_are_not_what_they_should_be(server: Server, data: Path, monkeypatch: pytest.MonkeyPatch):
    _replace(monkeypatch, "cifar10", archives=(server.add("c.tar.gz", packed_tar(other=b"1")),))
    with pytest.raises(UserError, match="the archive holds no cifar-10-batches-bin"):
        prepare("cifar10")
    background, evaluation = _omniglot(server, np.zeros((3, 2, 105, 105), bool))
    _replace(monkeypatch, "omniglot", archives=(background,))
    with pytest.raises(UserError, match="is not the complete Omniglot"):
        prepare("omniglot")
    with zipfile.ZipFile(io.BytesIO(server.files["images_evaluation.zip"])) as file:
        one = {name: file.read(name) for name in file.namelist()[:1]}
    evaluation = server.add("images_evaluation.zip", packed_zip(**one))
    _replace(monkeypatch, "omniglot", archives=(background, evaluation))
    with pytest.raises(UserError, match="is not the complete Omniglot, drawings are missing"):
        prepare("omniglot")
    assert left(data) == ["archives"]


def test_without_network_it_says_what_to_put_where(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with socket.socket() as unused:  # nothing listens on this port
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/cifar-10-binary.tar.gz"
        _replace(monkeypatch, "cifar10", archives=(Archive(url=url, hash="md5:0"),))
        assert main(["data", "prepare", "cifar10"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"pppl: error: cannot download {url} (ConnectionError): run the same command again to continue the download, "
        f"or put the file at {data / 'archives' / 'cifar-10-binary.tar.gz'}\n"
    )


def test_a_data_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PPPL_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(UserError, match="choose another folder"):
        prepare("cifar10")


def test_a_link_to_what_is_not_mounted_stays(data: Path, tmp_path: Path):
    data.mkdir()
    link = data / "cifar-10-batches-bin"
    link.symlink_to(tmp_path / "not mounted")
    with pytest.raises(UserError, match="cifar-10-batches-bin is a broken link"):
        prepare("cifar10")
    assert link.is_symlink()


def test_sources_that_are_not_downloaded(data: Path, capsys: pytest.CaptureFixture[str]):
    assert prepare("digits") == "digits is there: bundled with scikit-learn"
    for name in ("mnist_writers", "arabic_speech_commands", "fsdd"):
        assert main(["data", "prepare", name]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"data set {name} is not there: it is not downloaded, put " in error
        assert str(SOURCES[name].path) in error
        assert "CC BY" in error
    assert not data.exists(), os.listdir(data)


def test_mistyped_names(capsys: pytest.CaptureFixture[str]):
    assert main(["data", "prepare", "cifar"]) == 2
    assert "unknown data set 'cifar': did you mean 'cifar10" in capsys.readouterr().err
    assert main(["data", "prepare"]) == 2
    assert "the following arguments are required: NAME" in capsys.readouterr().err

"""Downloads from a real server on this machine, unpacking, and what an interruption leaves."""

import hashlib
import io
import os
import socket
import stat
import tarfile
import wave
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from pppl.cli import main
from pppl.data import load_dataset, sources
from pppl.data.download import Archive, fetch
from pppl.data.prepare import prepare
from pppl.data.sources import SOURCES, Source
from pppl.data.unpack import unpack
from pppl.errors import UserError

# Incompressible, and larger than what a socket swallows at once.
CONTENT = np.random.default_rng(0).bytes(3_000_000)


@dataclass
class Server:
    """Serves `files`, and notes the Range of every request.

    - `cut`: how many bytes the next answer breaks off after, although it promised all.
    - `ranges`: whether a Range is honoured.
    - `span`: a Content-Range to lie with.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)
    cut: int | None = None
    ranges: bool = True
    span: str | None = None

    def add(self, name: str, content: bytes = CONTENT) -> Archive:
        self.files[name] = content
        return Archive(url=f"{self.url}/{name}", hash=f"sha256:{hashlib.sha256(content).hexdigest()}")


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            state.asked.append(wanted)
            content = state.files.get(self.path[1:])
            if content is None:
                return self.send_error(404)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and state.ranges else 0
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", state.span or f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("Content-Encoding", "gzip")  # as some servers do for .tar.gz
            self.end_headers()
            cut, state.cut = state.cut, None
            self.wfile.write(content[start:] if cut is None else content[start : start + cut])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_the_file_as_it_is(server: Server, tmp_path: Path):
    archive = server.add("a.tar.gz")
    assert fetch(archive, tmp_path) == tmp_path / "a.tar.gz"
    assert (tmp_path / "a.tar.gz").read_bytes() == CONTENT
    assert _left(tmp_path) == ["a.tar.gz"]
    fetch(archive, tmp_path)
    assert server.asked == [None], "what is there is not asked for again"


def test_an_interrupted_download_asks_only_for_the_rest(server: Server, tmp_path: Path):
    archive, server.cut = server.add("a.zip"), 1_500_000
    with pytest.raises(UserError, match=r"cannot download .*/a\.zip \(\w+\): run the same command again") as error:
        fetch(archive, tmp_path)
    assert str(tmp_path / "a.zip") in str(error.value)
    assert _left(tmp_path) == ["a.zip.part"]
    have = (tmp_path / "a.zip.part").stat().st_size
    assert 1_000_000 < have <= 1_500_000
    fetch(archive, tmp_path)
    assert server.asked == [None, f"bytes={have}-"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert _left(tmp_path) == ["a.zip"]


def test_a_server_that_cannot_continue_sends_it_all(server: Server, tmp_path: Path):
    archive, server.ranges = server.add("a.zip"), False
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:1000])
    fetch(archive, tmp_path)
    assert server.asked == ["bytes=1000-"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_server_that_continues_elsewhere_is_asked_for_all(server: Server, tmp_path: Path):
    archive, server.span = server.add("a.zip"), f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}"
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:1000])
    fetch(archive, tmp_path)
    assert server.asked == ["bytes=1000-", None]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize(("part", "asked"), [(CONTENT, 1), (CONTENT + b"more", 2)])
def test_a_part_with_nothing_left_to_send(part: bytes, asked: int, server: Server, tmp_path: Path):
    archive = server.add("a.zip")
    (tmp_path / "a.zip.part").write_bytes(part)
    fetch(archive, tmp_path)
    assert len(server.asked) == asked
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("sent", [CONTENT[:-1], CONTENT[:-1] + b"?", b""])
def test_a_wrong_file_is_refused_and_deleted(sent: bytes, server: Server, tmp_path: Path):
    archive = server.add("a.zip")
    server.files["a.zip"] = sent
    with pytest.raises(UserError) as error:
        fetch(archive, tmp_path)
    for part in ("a.zip", archive.hash, hashlib.sha256(sent).hexdigest()):
        assert part in str(error.value)
    assert _left(tmp_path) == []


def test_a_part_of_another_file_does_not_stay(server: Server, tmp_path: Path):
    archive = server.add("a.zip")
    (tmp_path / "a.zip.part").write_bytes(b"something else")
    with pytest.raises(UserError, match="does not match the known hash"):
        fetch(archive, tmp_path)
    fetch(archive, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_file_put_there_by_hand(server: Server, tmp_path: Path):
    archive = server.add("a.zip")
    (tmp_path / "a.zip").write_bytes(CONTENT)
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    (tmp_path / "a.zip").write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match="is not the published file") as error:
        fetch(archive, tmp_path)
    assert archive.hash in str(error.value)
    assert hashlib.sha256(CONTENT[:-1]).hexdigest() in str(error.value)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT[:-1], "it is not ours to delete"
    assert server.asked == []


def test_a_file_that_is_gone(server: Server, tmp_path: Path):
    with pytest.raises(UserError, match="404 Not Found"):
        fetch(Archive(url=f"{server.url}/gone.zip", hash="md5:0"), tmp_path)
    assert _left(tmp_path) == []


def _tar(**members: bytes | tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            file.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def _zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def _tar_link(kind: bytes, target: str) -> bytes:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, target
    return _tar(link=info)


def _zip_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    return buffer.getvalue()


OUTSIDE = ["../out", "in/../../out", "/tmp/pppl-out", "C:\\out", "..\\out", "C:out"]


@pytest.mark.parametrize("packed", [_tar, _zip])
@pytest.mark.parametrize("name", OUTSIDE)
def test_members_that_lie_outside(name: str, packed: Callable[..., bytes], tmp_path: Path):
    (tmp_path / "a").write_bytes(packed(**{"fine/first": b"1", name: b"2"}))
    with pytest.raises(UserError, match="is a link or lies outside of the folder"):
        unpack(tmp_path / "a", tmp_path / "in" / "deep")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(written) == [tmp_path / "a", tmp_path / "in" / "deep" / "fine" / "first"]
    assert not Path("/tmp/pppl-out").exists()


@pytest.mark.parametrize(
    "content",
    [_tar_link(tarfile.SYMTYPE, "/etc"), _tar_link(tarfile.LNKTYPE, "x"), _tar_link(tarfile.FIFOTYPE, ""), _zip_link()],
)
def test_links_and_devices(content: bytes, tmp_path: Path):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError, match="its member 'link' is a link"):
        unpack(tmp_path / "a", tmp_path / "in")
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize("packed", [_tar, _zip])
def test_whole_archives_and_too_large_ones(
    packed: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "a").write_bytes(packed(**{"./one": b"1", "deep/two": b"22", "empty": b""}))
    unpack(tmp_path / "a", tmp_path / "in")
    read = {p.relative_to(tmp_path / "in").as_posix(): p.read_bytes() for p in tmp_path.glob("in/**/*") if p.is_file()}
    assert read == {"one": b"1", "deep/two": b"22", "empty": b""}
    for limit, value in (("_MAX_BYTES", 2), ("_MAX_MEMBERS", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(f"pppl.data.unpack.{limit}", value)
            with pytest.raises(UserError, match="is not unpacked: it holds more than"):
                unpack(tmp_path / "a", tmp_path / "other")


@pytest.mark.parametrize("content", [b"", b"no archive", _tar(a=CONTENT)[:-9999], b"PK\x05\x06" + b"\0" * 17])
def test_damaged_archives(content: bytes, tmp_path: Path):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError, match=r"a is damaged \(.*remove it and run the same command again"):
        unpack(tmp_path / "a", tmp_path / "in")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPPL_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def _replace(monkeypatch: pytest.MonkeyPatch, name: str, **changes: object) -> None:
    source = SOURCES[name]
    fields = {field: getattr(source, field) for field in source.__dataclass_fields__} | changes
    monkeypatch.setitem(sources.SOURCES, name, Source(**fields))


def _cifar(names: str, records: dict[str, np.ndarray], folder: str) -> bytes:
    return _tar(
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
    assert _left(data) == ["archives", "cifar-10-batches-bin"]
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
        ("train.bin", b"\0" * 3073, "3,073 bytes are no whole records"),
        ("train.bin", b"", "0 bytes are no whole records"),
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
        server.add(f"{part}.zip", _zip(**{name: m for name, m in members.items() if name.startswith(part)}))
        for part in parts
    ]
    return archives[0], archives[1]


def test_omniglot_is_converted_once_from_two_archives(server: Server, data: Path, monkeypatch: pytest.MonkeyPatch):
    ink = np.random.default_rng(0).random((3, 2, 105, 105)) < 0.2
    _replace(monkeypatch, "omniglot", archives=_omniglot(server, ink))
    prepare("omniglot")
    assert _left(data) == ["archives", "omniglot.npz"]
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
    content = _tar(**recordings, **{f"./{name}": text.encode() for name, text in lists.items()})
    _replace(monkeypatch, "speech_commands", archives=(server.add("speech_commands_v0.02.tar.gz", content),))
    prepare("speech_commands")
    assert _left(data) == ["archives", "speech-commands-v0.02.npz"]
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
    assert _left(data) == ["archives"]
    _replace(monkeypatch, "omniglot", convert=converted)
    prepare("omniglot")
    assert len(server.asked) == 2, "the archives are not downloaded again"
    assert len(load_dataset("omniglot").x) == 6


def test_archives_that_are_not_what_they_should_be(server: Server, data: Path, monkeypatch: pytest.MonkeyPatch):
    _replace(monkeypatch, "cifar10", archives=(server.add("c.tar.gz", _tar(other=b"1")),))
    with pytest.raises(UserError, match="the archive holds no cifar-10-batches-bin"):
        prepare("cifar10")
    background, evaluation = _omniglot(server, np.zeros((3, 2, 105, 105), bool))
    _replace(monkeypatch, "omniglot", archives=(background,))
    with pytest.raises(UserError, match="is no whole Omniglot"):
        prepare("omniglot")
    with zipfile.ZipFile(io.BytesIO(server.files["images_evaluation.zip"])) as file:
        one = {name: file.read(name) for name in file.namelist()[:1]}
    evaluation = server.add("images_evaluation.zip", _zip(**one))
    _replace(monkeypatch, "omniglot", archives=(background, evaluation))
    with pytest.raises(UserError, match="not every character of both parts has all drawings"):
        prepare("omniglot")
    assert _left(data) == ["archives"]


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
        f"pppl: error: cannot download {url} (ConnectionError): run the same command again, which goes on from what "
        f"has arrived, or put the file at {data / 'archives' / 'cifar-10-binary.tar.gz'}\n"
    )


def test_a_data_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PPPL_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(UserError, match="choose another folder"):
        prepare("cifar10")


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

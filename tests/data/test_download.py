"""Downloads from a real server on this machine, and what an interruption leaves."""

import hashlib
from pathlib import Path

import pytest
from archives import CONTENT, Server, left

from pppl.data.download import Archive, fetch
from pppl.system.errors import UserError


def test_a_download_is_the_file_as_it_is(server: Server, tmp_path: Path):
    archive = server.add("a.tar.gz")
    assert fetch(archive, tmp_path) == tmp_path / "a.tar.gz"
    assert (tmp_path / "a.tar.gz").read_bytes() == CONTENT
    assert left(tmp_path) == ["a.tar.gz"]
    fetch(archive, tmp_path)
    assert server.asked == [None], "what is there is not asked for again"


def test_an_interrupted_download_asks_only_for_the_rest(server: Server, tmp_path: Path):
    archive, server.cut = server.add("a.zip"), 1_500_000
    with pytest.raises(UserError, match=r"cannot download .*/a\.zip \(\w+\): run the same command again") as error:
        fetch(archive, tmp_path)
    assert str(tmp_path / "a.zip") in str(error.value)
    assert left(tmp_path) == ["a.zip.pppl-part"]
    have = (tmp_path / "a.zip.pppl-part").stat().st_size
    assert 1_000_000 < have <= 1_500_000
    fetch(archive, tmp_path)
    assert server.asked == [None, f"bytes={have}-"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert left(tmp_path) == ["a.zip"]


def test_what_a_browser_left_of_its_download_stays(server: Server, tmp_path: Path):
    archive = server.add("a.zip")
    (tmp_path / "a.zip.part").write_bytes(b"mine")
    assert fetch(archive, tmp_path).read_bytes() == CONTENT
    assert (tmp_path / "a.zip.part").read_bytes() == b"mine"


def test_a_server_that_cannot_continue_sends_it_all(server: Server, tmp_path: Path):
    archive, server.ranges = server.add("a.zip"), False
    (tmp_path / "a.zip.pppl-part").write_bytes(CONTENT[:1000])
    fetch(archive, tmp_path)
    assert server.asked == ["bytes=1000-"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_server_that_continues_elsewhere_is_asked_for_all(server: Server, tmp_path: Path):
    archive, server.span = server.add("a.zip"), f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}"
    (tmp_path / "a.zip.pppl-part").write_bytes(CONTENT[:1000])
    fetch(archive, tmp_path)
    assert server.asked == ["bytes=1000-", None]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize(("part", "asked"), [(CONTENT, 1), (CONTENT + b"more", 2)])
def test_a_part_with_nothing_left_to_send(part: bytes, asked: int, server: Server, tmp_path: Path):
    archive = server.add("a.zip")
    (tmp_path / "a.zip.pppl-part").write_bytes(part)
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
    assert left(tmp_path) == []


def test_a_part_of_another_file_does_not_stay(server: Server, tmp_path: Path):
    archive = server.add("a.zip")
    (tmp_path / "a.zip.pppl-part").write_bytes(b"something else")
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
    assert left(tmp_path) == []

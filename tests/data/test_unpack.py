"""Archives that are hostile, damaged, too large, or as they should be."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import CONTENT, packed_tar, packed_zip

from pppl.data.unpack import unpack
from pppl.system.errors import UserError


def _tar_link(kind: bytes, target: str) -> bytes:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, target
    return packed_tar(link=info)


def _zip_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    return buffer.getvalue()


OUTSIDE = ["../out", "in/../../out", "/tmp/pppl-out", "C:\\out", "..\\out", "C:out"]


@pytest.mark.parametrize("packed", [packed_tar, packed_zip])
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
    ids=["symbolic link", "hard link", "pipe", "link in a zip"],  # the bytes hold the time, which workers must not see
)
def test_links_and_devices(content: bytes, tmp_path: Path):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError, match="its member 'link' is a link"):
        unpack(tmp_path / "a", tmp_path / "in")
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize("packed", [packed_tar, packed_zip])
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


@pytest.mark.parametrize("content", [b"", b"no archive", packed_tar(a=CONTENT)[:-9999], b"PK\x05\x06" + b"\0" * 17])
def test_damaged_archives(content: bytes, tmp_path: Path):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError, match=r"a is damaged \(.*remove it and run the same command again"):
        unpack(tmp_path / "a", tmp_path / "in")

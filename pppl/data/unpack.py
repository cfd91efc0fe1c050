"""Safe unpacking of downloaded archives: regular files only, inside one folder, up to a total size."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path, PureWindowsPath
from typing import IO, NamedTuple

from ..system import progress
from ..system.errors import UserError

# Several times the size of the largest source, Speech Commands.
_MAX_BYTES, _MAX_MEMBERS = 20 * 10**9, 1_000_000
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


class _Member(NamedTuple):
    name: str
    size: int
    kind: str  # "file", "folder" or "other": links and devices
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a `.zip` or `.tar.*` archive into `folder`.

    Members are copied one by one. So the same rules hold for tar, zip and every Python 3.11; tarfile's filters came
    only with 3.11.4. If the archive is rejected, the folder may hold a part of it.

    Raise `UserError` if the archive is damaged, if a member is a link or device or lies outside the folder, or if the
    members are too many or too large in total.

    ```python
    unpack(Path("images_background.zip"), Path("omniglot"))
    ```
    """
    total = 0
    try:
        with closing(_members(archive)) as members:
            bar = progress.bar(members, desc=f"unpacking {archive.name}", unit=" files", leave=False)
            for count, member in enumerate(bar, start=1):
                total += member.size
                if total > _MAX_BYTES or count > _MAX_MEMBERS:
                    raise UserError(
                        f"{archive} is not unpacked: it holds more than {_MAX_BYTES:,} bytes or {_MAX_MEMBERS:,} "
                        f"files, so it is not the published one: remove it"
                    )
                _copy(member, archive, folder)
    except _DAMAGED as error:
        reason = str(error).partition("\n")[0]  # on the next lines tarfile lists all formats that it has tried
        raise UserError(f"{archive} is damaged ({reason}): remove it and run the same command again") from error


def _members(archive: Path) -> Generator[_Member, None, None]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                mode = stat.S_IFMT(info.external_attr >> 16)  # 0 if the archive was not made on Unix
                kind = "folder" if info.is_dir() else "file" if mode in (0, stat.S_IFREG) else "other"
                yield _Member(info.filename, info.file_size, kind, lambda info=info: file.open(info))
    else:
        with tarfile.open(archive) as file:
            for info in file:
                kind = "folder" if info.isdir() else "file" if info.isreg() else "other"
                yield _Member(info.name, info.size, kind, lambda info=info: file.extractfile(info))


def _copy(member: _Member, archive: Path, folder: Path) -> None:
    name = PureWindowsPath(member.name)  # understands the separators and roots of both Unix and Windows
    if name.anchor or ".." in name.parts or member.kind == "other":
        raise UserError(
            f"{archive} is not unpacked: its member {member.name!r} is a link or lies outside of the folder, so the "
            f"archive is not the published one: remove it"
        )
    target = folder / member.name
    if member.kind == "folder":
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    assert source is not None
    with source, target.open("wb") as destination:
        shutil.copyfileobj(source, destination, 1 << 20)

"""The record of the files that this program has written into a folder. Only these are ever replaced or removed.

The record is the hidden file `.pppl-written` in each folder: one line of JSON per file, with the SHA-256 of its
content. A file with any other content belongs to somebody else, or was changed by hand since.
"""

import errno
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

RECORD = ".pppl-written"
# First bytes of files by versions that kept no record. A folder that was copied without its hidden files looks alike.
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    ".csv": (
        *(b"dataset,backbone,", b"persons,seen,", b"task,encoder,", b"step,task,", b"trial,state,", b"key,importance,"),
        *(b"network,seed,", b"method,settings,", b"folder,kind,", b"epoch,", b"row,"),
    ),
    ".pdf": (b"%PDF-1.4\n%\xac\xdc \xab\xba",),  # Matplotlib's own second line
    ".tex": (b"\\begin{tabular}",),
    ".yaml": (b"# The best of ",),
}
_INSIDE = {".png": b"Matplotlib version", ".html": b"Made by `pppl report`", ".safetensors": b'"sha256":'}
_HEAD = 1 << 16
# Subfolders that hold such files, and JSON files that show that a folder is ours.
_FOLDERS, _REPORTS = ("figures", "tables", "models", "training"), ("run.json", "report.json")
# Keys by which JSON files of this program are recognized.
_KEYS = ({"config", "packages"}, {"files", "kept"}, {"preprocessing", "unseen"})


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def add_record(path: Path, sha256: str, of: str = "") -> None:
    """Record that this program writes a file with this content.

    **Arguments:**

    - `sha256`: the hash of the content.
    - `of`: the source that the content is made from, for `read_record`.

    Raise `OSError` if the folder cannot be written to.
    """
    entry = {"file": path.name, "sha256": sha256} | ({"of": of} if of else {})
    if entry in _entries(path.parent):
        return
    # A single write that begins with a line end: several processes may record at once, or be killed while they do.
    data = f"\n{json.dumps(entry)}\n".encode()
    descriptor = _open_record(path.parent)
    try:
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def _open_record(folder: Path) -> int:
    """Open the record and return its descriptor; open one of this user's own if another user's is write-protected."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    try:
        return os.open(folder / RECORD, flags, 0o666)
    except PermissionError:
        return os.open(folder / f"{RECORD}-{os.getuid()}", flags, 0o666)


def is_ours(path: Path) -> bool:
    """Return whether this program has written a file and nobody has changed it since.

    An empty file counts as written by this program, since a power failure can leave one. A symbolic link does not.
    """
    if path.is_symlink() or not path.is_file():
        return False
    if path.stat().st_size == 0:
        return True
    sha256 = sha256_of(path)
    if not _is_recorded(path, sha256):
        for folder in (path.parent, path.parent.parent):
            _adopt(folder)
    return _is_recorded(path, sha256)


def read_record(path: Path) -> str:
    """Return the source of a file's content, as given to `add_record`; empty if it is unknown."""
    if not path.is_file():
        return ""
    sha256 = sha256_of(path)
    sources = [str(entry.get("of", "")) for entry in _entries(path.parent) if entry.get("sha256") == sha256]
    return sources[-1] if sources else ""


def _entries(folder: Path) -> list[dict[str, Any]]:
    lines: list[bytes] = []
    for path in sorted(folder.glob(f"{RECORD}*")):
        with suppress(PermissionError):
            lines += path.read_bytes().splitlines()
    return [entry for line in lines if isinstance(entry := _parse_json(line), dict)]


def _parse_json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_recorded(path: Path, sha256: str) -> bool:
    return any(entry.get("sha256") == sha256 for entry in _entries(path.parent))


def _adopt(folder: Path) -> None:
    """Record the files of a version that kept no record, if `run.json` or `report.json` shows that the folder is ours.

    Do this only once for each folder.
    """
    reports = {name: tree for name in _REPORTS if _is_report(tree := _read_json(folder / name))}
    reports = {
        name: tree for name, tree in reports.items() if not _is_recorded(folder / name, sha256_of(folder / name))
    }
    if not reports:
        return
    sizes = {name: size for tree in reports.values() for name, size in _files_of(tree).items()}
    files = [path for each in (folder, *map(folder.joinpath, _FOLDERS)) if each.is_dir() for path in each.iterdir()]
    for path in sorted(files, key=lambda path: path.name in reports):  # `run.json` last: a kill must not hide the rest
        if path.is_file() and not path.is_symlink() and _begins_as_ours(path, sizes):
            add_record(path, sha256_of(path))


def _files_of(tree: dict[str, Any]) -> dict[str, int]:
    """Return the sizes in bytes of a person's files by name, as `report.json` lists them."""
    return tree["files"] if isinstance(tree.get("files"), dict) else {}


def _begins_as_ours(path: Path, sizes: Mapping[str, int]) -> bool:
    if path.name.startswith("."):
        return False
    if sizes.get(path.name) == path.stat().st_size:
        return True
    if path.suffix == ".json":
        return _is_report(_read_json(path))
    if path.suffix == ".txt":  # a caption
        others = [path.with_suffix(end) for end in (".png", ".tex")]
        return any(_begins_as_ours(other, {}) for other in others if other.is_file())
    if path.suffix == ".gz":
        return _is_compressed_table(path)
    with path.open("rb") as file:
        content = file.read(_HEAD if path.suffix != ".html" else -1)
    inside = _INSIDE.get(path.suffix)
    return content.startswith(_BEGINNINGS.get(path.suffix, ())) or (inside is not None and inside in content)


def _is_compressed_table(path: Path) -> bool:
    try:
        with gzip.open(path) as file:
            return file.read(_HEAD).startswith(_BEGINNINGS[".csv"])
    except (OSError, EOFError, zlib.error):
        return False


def _read_json(path: Path) -> Any:
    return _parse_json(path.read_bytes()) if path.is_file() else None


def _is_report(tree: Any) -> bool:
    return isinstance(tree, dict) and any(keys <= tree.keys() for keys in _KEYS)

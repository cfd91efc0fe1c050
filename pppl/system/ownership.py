"""What this program has written into a folder: nothing else is replaced or removed.

Each folder keeps a record beside its files, `.pppl-written`: a line of JSON for every file, with the SHA-256 of its
content. A file whose content is not in there belongs to somebody else, or was changed by hand since.
"""

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

RECORD = ".pppl-written"
# How files begin of versions that kept no record; folders that were copied without hidden files are as theirs.
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
# Where they lie, and what tells of them.
_FOLDERS, _TELLING = ("figures", "tables", "models", "training"), ("run.json", "report.json")
# Keys of JSON files that are written here.
_KEYS = ({"config", "packages"}, {"files", "kept"}, {"preprocessing", "unseen"})


def sha256_of(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def add_record(path: Path, sha256: str, of: str = "") -> None:
    """Record that a file with this content is written here. Raises `OSError` where the folder cannot be written."""
    entry = {"file": path.name, "sha256": sha256} | ({"of": of} if of else {})
    if entry in _entries(path.parent):
        return
    # One write for a line that begins as one of its own: several processes may record at once, and be killed.
    data = f"\n{json.dumps(entry)}\n".encode()
    descriptor = _opened(path.parent)
    try:
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    """The record; where it is another user's, who lets nobody else write it, one of this user's own."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    try:
        return os.open(folder / RECORD, flags, 0o666)
    except PermissionError:
        return os.open(folder / f"{RECORD}-{os.getuid()}", flags, 0o666)


def is_ours(path: Path) -> bool:
    """Whether this program has written a file, and nobody has changed it since.

    An empty file, as a power failure leaves, is nobody's.
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
    """Return what a file of ours was made of, as `add_record` was told; empty where that is not known."""
    if not path.is_file():
        return ""
    sha256 = sha256_of(path)
    told = [str(entry.get("of", "")) for entry in _entries(path.parent) if entry.get("sha256") == sha256]
    return told[-1] if told else ""


def _entries(folder: Path) -> list[dict[str, Any]]:
    lines: list[bytes] = []
    for path in sorted(folder.glob(f"{RECORD}*")):
        with suppress(PermissionError):
            lines += path.read_bytes().splitlines()
    return [entry for line in lines if isinstance(entry := _json(line), dict)]


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_recorded(path: Path, sha256: str) -> bool:
    return any(entry.get("sha256") == sha256 for entry in _entries(path.parent))


def _adopt(folder: Path) -> None:
    """Record, once, what a version that kept no record has written, where `run.json` or `report.json` is of one."""
    told = {name: tree for name in _TELLING if _is_told(tree := _read(folder / name))}
    told = {name: tree for name, tree in told.items() if not _is_recorded(folder / name, sha256_of(folder / name))}
    if not told:
        return
    sizes = {name: size for tree in told.values() for name, size in _files_of(tree).items()}
    inside = [path for each in (folder, *map(folder.joinpath, _FOLDERS)) if each.is_dir() for path in each.iterdir()]
    for path in sorted(inside, key=lambda path: path.name in told):  # what tells of the others comes last
        if path.is_file() and not path.is_symlink() and _begins_as_ours(path, sizes):
            add_record(path, sha256_of(path))


def _files_of(tree: dict[str, Any]) -> dict[str, int]:
    """A person's files by name, with their sizes."""
    return tree["files"] if isinstance(tree.get("files"), dict) else {}


def _begins_as_ours(path: Path, sizes: Mapping[str, int]) -> bool:
    if path.name.startswith("."):
        return False
    if sizes.get(path.name) == path.stat().st_size:
        return True
    if path.suffix == ".json":
        return _is_told(_read(path))
    if path.suffix == ".txt":  # a caption
        others = [path.with_suffix(end) for end in (".png", ".tex")]
        return any(_begins_as_ours(other, {}) for other in others if other.is_file())
    with path.open("rb") as file:
        content = file.read(_HEAD if path.suffix != ".html" else -1)
    inside = _INSIDE.get(path.suffix)
    return content.startswith(_BEGINNINGS.get(path.suffix, ())) or (inside is not None and inside in content)


def _read(path: Path) -> Any:
    return _json(path.read_bytes()) if path.is_file() else None


def _is_told(tree: Any) -> bool:
    return isinstance(tree, dict) and any(keys <= tree.keys() for keys in _KEYS)

"""Writing files so that nothing half-written ever replaces something whole, and nothing of somebody else is replaced.

Paths of people come in here, too: `expand` is the one place that reads a `~`.
"""

import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import UserError
from .ownership import add_record, is_ours, read_record, sha256_of

# A name may have 255 bytes, and temporary ones are longer.
_LONGEST = 40


def expand(path: str | Path) -> Path:
    """Return a path that somebody has named, with `~` and `~user` as their folders; `./~` is a file of that name.

    What comes out means the same when it is expanded again. Raises `UserError` where there is no such user.
    """
    text = os.fspath(path)
    if not text.startswith("~"):
        plain = Path(text)
        return Path.cwd() / plain if str(plain).startswith("~") else plain
    home = os.path.expanduser(text)  # pathlib's own raises where there is no such user
    if not os.path.isabs(home):
        who = text.split("/")[0]
        raise UserError(f"{text} names no folder: {who} has no home here; write ./{text} for a file of that name")
    return Path(home)


def expand_name(name: str) -> str:
    """Return a setting that may be a path, expanded; any other name as it is."""
    return str(path) if (path := expand(name)) != Path(name) else name


@contextmanager
def replacing(path: Path, *, of: str = "", hashed: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error.

    It gets the mode and group of what it replaces, else those that the folder and the umask give. A link stays one.

    **Arguments:**

    - `of`: what the file is made of, as `claim` compares it.
    - `hashed`: whether the name has a hash of ours, so that nobody else gives it to a file; nothing is recorded then.

    Raises `UserError` where somebody else's file is in the way, which stays.
    """
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.stem[:_LONGEST]}-{secrets.token_hex(6)}{path.suffix}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        if not hashed:
            claim([path], of=of)
            add_record(path, sha256_of(temporary), of)  # before it is there: a kill in between leaves a line too many
        _keep_access(path, temporary)
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk names no file
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _keep_access(path: Path, temporary: Path) -> None:
    with suppress(FileNotFoundError):
        before = path.stat()
        if before.st_gid != temporary.stat().st_gid:
            with suppress(PermissionError):  # of a group that this user is not in
                os.chown(temporary, -1, before.st_gid)
        temporary.chmod(stat.S_IMODE(before.st_mode))


def write_bytes(path: Path, content: bytes, *, of: str = "") -> None:
    """Writes a file; what was there before stays until it is whole. Raises as `replacing` does."""
    with replacing(path, of=of) as temporary:
        temporary.write_bytes(content)


def claim(paths: Iterable[Path], *, of: str = "") -> None:
    """Raises `UserError` where one of these files is there and this program has not written it, or has of something
    else than `of`; where it does not raise, all of them may be replaced.
    """
    for each in paths:
        path = Path(os.path.realpath(each))
        if not path.exists():
            continue
        if not path.is_file():
            raise UserError(f"{each} is no file, and would be replaced by one: move it away, or name another --out")
        if not is_ours(path):
            raise UserError(
                f"{each} was not written by pppl, or was changed since, and stays as it is: move it away or delete it, "
                "or name another --out"
            )
        if not path.stat().st_mode & 0o222:
            raise UserError(f"{each} is write-protected: it stays as it is; name another --out")
        if of and (before := read_record(path)) and before != of:
            raise UserError(f"{each} is of other results, and stays as it is: move it away, or name another --out")
        add_record(path, sha256_of(path), read_record(path))  # what tells of an earlier version may go before it does


def remove(path: Path) -> None:
    """Removes a file that this program has written, if it is there. Raises `UserError` where somebody else has."""
    claim([path])
    Path(os.path.realpath(path)).unlink(missing_ok=True)


def remove_if_ours(paths: Iterable[Path]) -> None:
    """Removes what this program has written; any others stay."""
    for path in paths:
        if is_ours(path):
            path.unlink()


def output_folder(path: str | Path) -> Path:
    """Makes a folder. Raises `UserError` where it cannot be made or written to."""
    path = expand(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write to {path}: {reason}; choose another folder") from error
    return path


def cache_folder(variable: str, name: str) -> Path:
    """The folder that an environment variable names, or else one in the user's cache.

    Raises `UserError` where it would be in a home folder and there is none.
    """
    import platformdirs

    chosen = os.environ.get(variable, "")
    try:
        return expand(chosen) if chosen else platformdirs.user_cache_path("pppl") / name
    except (RuntimeError, UserError) as error:
        raise UserError(f"there is no home folder here: set {variable} to a folder that can be written") from error

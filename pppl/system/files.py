"""Safe writing and removal of files: no partial file replaces a complete one, and other people's files stay.

`expand`, the only function that resolves `~` in the paths of users, is here, too.
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

# Characters that a temporary name keeps of a file's stem: a name may have 255 bytes, and the temporary one is longer.
_LONGEST = 40


def expand(path: str | Path) -> Path:
    """Return a user's path with `~` and `~user` replaced by home folders. `./~` stays a file with that name.

    Expanding a path again does not change its meaning. Raise `UserError` if there is no such user.

    >>> expand("~/results") == Path.home() / "results"
    True
    """
    text = os.fspath(path)
    if not text.startswith("~"):
        plain = Path(text)
        return Path.cwd() / plain if str(plain).startswith("~") else plain
    home = os.path.expanduser(text)  # pathlib's own function raises if there is no such user
    if not os.path.isabs(home):
        user = text.split("/")[0]
        raise UserError(f"{text}: {user} has no home folder here; write ./{text} for a file with that name")
    return Path(home)


def expand_name(name: str) -> str:
    """Return a setting that may be a path with its `~` expanded. Any other name stays unchanged.

    >>> expand_name("digits")
    'digits'
    """
    return str(path) if (path := expand(name)) != Path(name) else name


@contextmanager
def replacing(path: Path, *, of: str = "", hashed: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` if the block ends without an error.

    The new file gets the mode and group of the one it replaces, or else those that the folder and the umask give. If
    `path` is a symbolic link, the link stays and its target is replaced.

    **Arguments:**

    - `of`: the source of the file's content. `claim` compares it with that of the file to be replaced.
    - `hashed`: whether the name contains a hash made by this package. Nobody else uses such a name, so the file is
      neither checked nor recorded.

    Raise `UserError` if somebody else's file is in the way. That file stays.

    ```python
    with replacing(Path("table.csv")) as temporary:
        temporary.write_text(text)
    ```
    """
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.stem[:_LONGEST]}-{secrets.token_hex(6)}{path.suffix}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        if not hashed:
            claim([path], of=of)
            # Before the file is there: a kill in between leaves a needless record, not a file without one.
            add_record(path, sha256_of(temporary), of)
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
            with suppress(PermissionError):  # this user is not in that group
                os.chown(temporary, -1, before.st_gid)
        temporary.chmod(stat.S_IMODE(before.st_mode))


def write_bytes(path: Path, content: bytes, *, of: str = "") -> None:
    """Write a file atomically: its previous content stays until the new one is complete.

    Raise `UserError` if somebody else's file is in the way, as `replacing` does.
    """
    with replacing(path, of=of) as temporary:
        temporary.write_bytes(content)


def claim(paths: Iterable[Path], *, of: str = "") -> None:
    """Check that this program may replace these files.

    Raise `UserError` if one of them exists and is not a regular file, was not written by this program, was changed
    since, is write-protected, or was made from another source than `of`. Otherwise, all of them may be replaced.
    """
    for given in paths:
        path = Path(os.path.realpath(given))
        if not path.exists():
            continue
        if not path.is_file():
            raise UserError(f"{given} is not a regular file and stays as it is: move it away, or name another --out")
        if not is_ours(path):
            raise UserError(
                f"{given} was not written by pppl, or was changed since, and stays as it is: move it away or delete "
                "it, or name another --out"
            )
        if not path.stat().st_mode & 0o222:
            raise UserError(f"{given} is write-protected and stays as it is: name another --out")
        if of and (before := read_record(path)) and before != of:
            raise UserError(
                f"{given} was made from other results and stays as it is: move it away, or name another --out"
            )
        # For a folder of an early version: `run.json`, which shows that the file is ours, may be replaced first.
        add_record(path, sha256_of(path), read_record(path))


def remove(path: Path) -> None:
    """Remove a file that this program has written, if it exists. Raise `UserError` if it is somebody else's."""
    claim([path])
    Path(os.path.realpath(path)).unlink(missing_ok=True)


def remove_if_ours(paths: Iterable[Path]) -> None:
    """Remove the files that this program has written, and keep all others."""
    for path in paths:
        if is_ours(path):
            path.unlink()


def output_folder(path: str | Path) -> Path:
    """Create a folder unless it exists, and return its path. Raise `UserError` if it cannot be written to."""
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
    """Return the folder that an environment variable names, by default `name` in the user's cache folder.

    Raise `UserError` if it would be in a home folder and there is none.

    ```python
    cache_folder("PPPL_DATA", "data")  # ~/.cache/pppl/data on Linux
    ```
    """
    import platformdirs

    chosen = os.environ.get(variable, "")
    try:
        return expand(chosen) if chosen else platformdirs.user_cache_path("pppl") / name
    except (RuntimeError, UserError) as error:
        raise UserError(f"there is no home folder here: set {variable} to a folder that can be written") from error

"""Writing files so that nothing half-written ever replaces something whole."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk names no file
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file; what was there before stays until it is whole."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def output_folder(path: str | Path) -> Path:
    """Makes a folder. Raises `UserError` where it cannot be made or written to."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {path}: {error.strerror}; choose another folder") from error
    return path


def cache_of(variable: str, name: str) -> Path:
    """The folder that an environment variable names, or else one in the user's cache.

    Raises `UserError` where it would be in a home folder and there is none.
    """
    import platformdirs

    chosen = os.path.expanduser(os.environ.get(variable, ""))
    try:
        if chosen.startswith("~"):
            raise RuntimeError
        return Path(chosen) if chosen else platformdirs.user_cache_path("pppl") / name
    except RuntimeError as error:
        raise UserError(f"there is no home folder here: set {variable} to a folder that can be written") from error

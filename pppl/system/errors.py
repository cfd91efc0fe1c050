"""Errors meant for people: one line that names the problem and what to do about it."""

import difflib
import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path

# A message that already suggests the nearest name leaves out longer lists of valid names.
_LISTED = 12


class UserError(ValueError):
    """Bad input. The command line prints the message as one line and exits with `exit_code`.

    >>> UserError("budget is 2: it is a fraction in (0, 1]").exit_code
    2
    """

    exit_code = 2


def require_unix(what: str, remedy: str = "run it in WSL") -> None:
    """Raise `UserError` on Windows, which lacks the locks, signals and processes of Unix.

    >>> require_unix("pppl sweep")
    """
    if sys.platform == "win32":
        raise UserError(f"{what} needs Linux or macOS; on Windows, {remedy}")


class Differs(UserError):
    """A recomputed result that differs from the stored one."""

    exit_code = 1


class Diverged(UserError):
    """A training with gradients or outputs that are no longer finite."""

    def __init__(self, what: str):
        super().__init__(f"{what} are not finite: lower the learning rate")


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return an error for a name that is not in `known`. Its message suggests the nearest name that is.

    **Arguments:**

    - `kind`: what the name stands for, such as `"method"`.
    - `name`: what the user wrote.
    - `known`: every valid name.

    >>> print(unknown("method", "ful", ["full", "diff"]))
    unknown method 'ful': did you mean 'full'? known: diff, full
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    parts = [f"did you mean {nearest[0]!r}?"] if nearest else []
    if len(names) <= _LISTED or not nearest:
        parts.append(f"known: {', '.join(names)}")
    return UserError(f"unknown {kind} {name!r}: {' '.join(parts)}")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class if it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


_ELSEWHERE, _FEWER, _NETWORK = "choose another folder", "use fewer --workers", "check the connection, and try again"
_SMALLER = f"{_FEWER}, or a smaller training.batch_size"
_PROCESSES = f"{_FEWER}, or allow more processes and threads (ulimit -u)"
# The remedy for each failure of the operating system, by its error number.
_REMEDIES = {
    errno.ENOSPC: "free some space there, or {elsewhere}",
    errno.EDQUOT: "your quota is used up: delete something of yours, or {elsewhere}",
    errno.EROFS: "{elsewhere}",
    errno.EACCES: "change who may use it, or {elsewhere}",
    errno.EPERM: "change who may use it, or {elsewhere}",
    errno.EFBIG: "allow larger files (ulimit -f), or {elsewhere}",
    errno.EMFILE: f"allow more open files (ulimit -n 4096), or {_FEWER}",
    errno.ENFILE: f"close other programs, or {_FEWER}",
    errno.ENOMEM: _SMALLER,
    errno.EAGAIN: _PROCESSES,
    errno.ENOENT: "it was moved or deleted: put it back, or {elsewhere}",
    errno.ENOTDIR: "a file stands where a folder belongs: move it away, or {elsewhere}",
    errno.EISDIR: "a folder stands where a file belongs: move it away, or {elsewhere}",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: "the disk or the network drive fails: check it, or {elsewhere}",
    errno.ESTALE: "the network drive has changed: mount it again, or {elsewhere}",
    errno.ENXIO: "{elsewhere}",
    errno.ETIMEDOUT: _NETWORK,
    errno.ECONNREFUSED: _NETWORK,
    errno.ECONNRESET: _NETWORK,
    errno.ENETUNREACH: _NETWORK,
    errno.EHOSTUNREACH: _NETWORK,
}
_KEPT = "finished work is kept; run the same command again to continue"


def explain(error: BaseException, place: Path | None = None) -> str:
    """Return one line on what failed in the system, where, and how to fix it; empty for a programming error.

    **Arguments:**

    - `place`: the path to report if the error names none.

    >>> explain(FileNotFoundError(2, "No such file or directory", "/a/table.csv")).partition(";")[0]
    '/a/table.csv: No such file or directory'
    >>> explain(KeyError("accuracy"))
    ''
    """
    if isinstance(error, OSError):
        where = error.filename or place
        reason = error.strerror or str(error) or type(error).__name__
        remedy = _REMEDIES.get(error.errno or 0, "").format(elsewhere=_elsewhere(where))
        named = f"{os.fsdecode(where)}: {reason}" if isinstance(where, str | bytes | os.PathLike) else reason
        return "; ".join(part for part in (named, remedy, _KEPT) if part)
    if isinstance(error, UnicodeEncodeError):
        text = str(error.object)[max(0, error.start - 30) : error.end + 30]
        return f"{text!r} cannot be written as UTF-8 text: rename the file, folder or class with this name"
    if isinstance(error, MemoryError) or _is_out_of_memory(str(error)):
        return f"out of memory: {_SMALLER}; {_KEPT}"
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return f"no more threads can be started: {_PROCESSES}; {_KEPT}"
    return ""


def is_text(name: str) -> bool:
    r"""Return whether a name can be written as UTF-8 text. The system also allows names of files that cannot.

    >>> is_text("Zoë"), is_text("Zo\udceb")
    (True, False)
    """
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _is_out_of_memory(message: str) -> bool:
    """Return whether an error message of torch or of the dynamic loader reports a lack of memory."""
    signs = ("can't allocate memory", "out of memory", "Cannot allocate memory", "failed to map segment")
    return any(sign in message for sign in signs)


def _elsewhere(where: object) -> str:
    """Return how to choose another folder than the one that holds the file `where`."""
    if not isinstance(where, str | bytes | os.PathLike):
        return _ELSEWHERE
    path = Path(os.path.abspath(os.fsdecode(where)))
    if path.is_relative_to("/dev/shm"):  # noqa: S108 (named, not used)
        return "use --workers 1"
    for name, default in (("PPPL_CACHE", "~/.cache/pppl/models"), ("PPPL_DATA", "~/.cache/pppl/data")):
        if path.is_relative_to(os.path.abspath(os.path.expanduser(os.environ.get(name) or default))):
            return f"set {name} to another folder"
    temporary = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 (named, not used)
    if path.is_relative_to(os.path.abspath(temporary)):
        return f"{_ELSEWHERE} (TMPDIR names the one of temporary files)"
    return _ELSEWHERE

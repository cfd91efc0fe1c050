"""Locks on open files, which the operating system releases when their process ends."""

from typing import IO

from .errors import UserError


def lock(file: IO[bytes] | IO[str], *, shared: bool = False, wait: bool = True) -> None:
    """Lock an open file until it is closed.

    ```python
    with open("study.lock", "ab") as file:
        lock(file)
    ```

    **Arguments:**

    - `shared`: whether other processes may hold a shared lock at the same time.
    - `wait`: whether to wait for a process that holds a lock. If not, `BlockingIOError` is raised.

    Raise `UserError` where the system has no such locks, as on Windows.
    """
    try:
        import fcntl
    except ImportError as error:
        raise UserError("a sweep locks files as Linux and macOS do; on Windows, run it in WSL") from error
    fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))

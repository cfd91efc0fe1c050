"""The storage of a study: a journal file in the results folder, or a PostgreSQL database for several machines."""

import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, PendingRollbackError
from sqlalchemy.pool import NullPool

from ..system.errors import UserError
from ..system.extras import missing
from ..system.locks import lock
from ..system.tracking import notice

JOURNAL = "study.log"
_BEGINS = b'{"op_code":'
_CHUNK = 1 << 16
_DRIVER = "postgresql+psycopg"
# Attempts to connect, and seconds: a server that is restarted or moved is back within `_PATIENCE`.
_TRIES, _PATIENCE, _PAUSE = 5, 3600.0, 1.0


def storage_at(url: str, folder: Path, *, patient: bool = False) -> BaseStorage:
    """Return the storage at a URL, or the journal file of a results folder if the URL is empty.

    ```python
    storage_at("", Path("results/digits_ppp"))  # the journal results/digits_ppp/study.log
    ```

    **Arguments:**

    - `patient`: whether to wait also for the first connection to a database that does not answer.

    Raise `UserError` if the URL is not a PostgreSQL one, or the server does not answer.
    """
    return _database(url, patient) if url else JournalStorage(_JournalBackend(folder / JOURNAL))


def hide_password(url: str) -> str:
    """Return a URL with `***` in place of its password, for messages.

    >>> hide_password("postgresql://me:secret@host/database")
    'postgresql://me:***@host/database'
    """
    return make_url(url).render_as_string(hide_password=True)


def without_password(url: str) -> str:
    """Return a URL without its password, which moves to the environment variable `PGPASSWORD`.

    Processes that inherit this environment can connect with the returned URL.
    """
    if not url:
        return url
    address = make_url(url)
    if address.password:
        os.environ["PGPASSWORD"] = str(address.password)
    return address.set(password=None).render_as_string()


class _JournalBackend(JournalFileBackend):
    """An Optuna journal that holds only whole lines.

    If a kill or a full disk leaves a partial line, the next write cuts it off. The lock is one of the operating system,
    which releases it when a process dies.
    """

    def __init__(self, path: Path):
        self._refuse_others(path)
        super().__init__(str(path))
        self.path = path

    @staticmethod
    def _refuse_others(path: Path) -> None:
        if path.exists():
            with path.open("rb") as file:
                begins = file.read(len(_BEGINS))
            if not _BEGINS.startswith(begins):  # a kill may have left less than these bytes
                raise UserError(f"{path} is no journal of a study: move it away, or name another --out")

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append all of the entries, or none. Raise `OSError` if the disk is full."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self.path.with_suffix(".lock").open("ab") as guard, self.path.open("r+b", buffering=0) as file:
            lock(guard)
            whole = _end_of_lines(file)
            try:
                file.truncate(whole)
                file.seek(whole)
                rest = text.encode()
                while rest := rest[file.write(rest) :]:  # after a partial write, the next one raises the reason
                    pass
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)
                raise


def _end_of_lines(file: IO[bytes]) -> int:
    """Return the offset at which the last whole line of a file ends."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _CHUNK)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def _database(url: str, patient: bool) -> BaseStorage:
    try:
        address = make_url(url)
    except (ArgumentError, ValueError) as error:  # the value is not repeated, since it may hold a password
        raise UserError("--storage is not a URL: write postgresql://user@host/database") from error
    if address.get_backend_name() != "postgresql":
        raise UserError(
            f"--storage has the scheme {address.get_backend_name()}, but must be a postgresql:// URL; leave it out for "
            "a journal file, which the workers of one machine can share"
        )
    address = address.set(drivername=_DRIVER)
    try:
        return _patiently(_connected)(address) if patient else _connected(address)
    except ImportError as error:
        raise UserError(missing("--storage", "psycopg, the PostgreSQL driver", "cluster")) from error
    except (StorageInternalError, DBAPIError) as error:
        raise UserError(
            f"{hide_password(url)} does not answer ({reason_of(error)}): check the URL and the server"
        ) from error


def _connected(address: URL) -> BaseStorage:
    # Connections are closed after each call: a server allows about a hundred, and there may be hundreds of workers.
    arguments = {"poolclass": NullPool, "connect_args": {"connect_timeout": 10}}
    for attempt in range(_TRIES):
        try:
            return _Patient(address.render_as_string(hide_password=False), engine_kwargs=arguments)
        except (StorageInternalError, DBAPIError) as error:
            # Two machines that start at the same moment create the same tables, and one of them fails: retry.
            if is_lost(error) or attempt + 1 == _TRIES:
                raise
            time.sleep(_PAUSE)
    raise AssertionError


def reason_of(error: BaseException) -> str:
    """Return the first line of the database driver's own message."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def is_lost(error: BaseException) -> bool:
    """Return whether an error means a lost connection, not a failed statement."""
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    if isinstance(cause, PendingRollbackError):  # Optuna kept using a session after its connection was lost
        cause = cause.__context__
    if not isinstance(cause, (OperationalError, InterfaceError)):
        return False
    # A server that is starting or stopping refuses connections with an error of its own class (57P0x).
    return cause.connection_invalidated or getattr(cause.orig, "sqlstate", None) in (None, "57P01", "57P02", "57P03")


def _patiently(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a storage function so that it is called again until the server answers.

    Raise `UserError` if the server has not answered for an hour.
    """

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        since: float | None = None
        while True:
            try:
                return method(*args, **kwargs)
            except (StorageInternalError, DBAPIError) as error:
                if not is_lost(error):
                    raise
                if since is None:
                    since = time.monotonic()
                    notice(f"the study's database does not answer ({reason_of(error)}); waiting for it")
                if time.monotonic() - since > _PATIENCE:
                    raise UserError(
                        f"the study's database has not answered for {_PATIENCE / 3600:.0f} h: run the same command "
                        "again when it does; finished trials are kept"
                    ) from error
                time.sleep(_PAUSE)

    return call


class _Patient(RDBStorage):
    """A database storage that waits for a server that does not answer.

    A call whose answer was lost is repeated. This is safe: values are set to the same values again, and `Queue` drops a
    trial that was queued or taken twice.
    """


# Private methods that Optuna's cache calls on a database storage in place of public ones. They must be wrapped, since
# Optuna has no public hook for errors and caches only an `RDBStorage`. A test checks that the list is complete.
_OF_CACHE = (
    *("_create_new_trial", "_set_trial_param", "_get_trials", "_get_best_trial_id"),
    "get_trial_id_from_study_id_trial_number",
)
CALLS = (*sorted(BaseStorage.__abstractmethods__), *_OF_CACHE)
for _name in CALLS:
    if hasattr(RDBStorage, _name):
        setattr(_Patient, _name, _patiently(getattr(RDBStorage, _name)))

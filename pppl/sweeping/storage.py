"""Where a study is kept: a journal file in the results folder, or a PostgreSQL database that several machines share."""

import fcntl
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
from ..system.tracking import notice

JOURNAL = "study.log"
_BEGINS = b'{"op_code":'
_CHUNK = 1 << 16
_DRIVER = "postgresql+psycopg"
_TRIES, _PATIENCE, _PAUSE = 5, 3600.0, 1.0  # seconds; a server that is restarted or moved is back by then


def storage_at(url: str, folder: Path, *, patient: bool = False) -> BaseStorage:
    """The storage at a URL; without one the journal in a results folder.

    **Arguments:**

    - `patient`: whether to wait for a database that does not answer, too.

    Raises `UserError` where the URL is of another kind than PostgreSQL, or does not answer.
    """
    return _database(url, patient) if url else JournalStorage(_JournalBackend(folder / JOURNAL))


def hide_password(url: str) -> str:
    """A URL without its password."""
    return make_url(url).render_as_string(hide_password=True)


def without_password(url: str) -> str:
    """The same URL for processes that inherit this one's environment, where the password goes as `PGPASSWORD`."""
    if not url:
        return url
    address = make_url(url)
    if address.password:
        os.environ["PGPASSWORD"] = str(address.password)
    return address.set(password=None).render_as_string()


class _JournalBackend(JournalFileBackend):
    """A journal whose lines are whole: what a kill or a full disk leaves of one is cut off before the next.

    The lock is the system's, which takes it back from a process that dies.
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
            if not _BEGINS.startswith(begins):  # a kill may have cut it short
                raise UserError(f"{path} is no journal of a study: move it away, or name another --out")

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends all of the entries, or none. Raises `OSError` where the disk is full."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self.path.with_suffix(".lock").open("ab") as lock, self.path.open("r+b", buffering=0) as file:
            fcntl.flock(lock, fcntl.LOCK_EX)
            whole = _end_of_lines(file)
            try:
                file.truncate(whole)
                file.seek(whole)
                rest = text.encode()
                while rest := rest[file.write(rest) :]:  # what did not fit is not taken, either, and says why
                    pass
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)
                raise


def _end_of_lines(file: IO[bytes]) -> int:
    """Where the last whole line of a file ends."""
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
    except (ArgumentError, ValueError) as error:  # which may hold a password: it is not repeated
        raise UserError("--storage is no URL: write postgresql://user@host/database") from error
    if address.get_backend_name() != "postgresql":
        raise UserError(
            f"--storage is of {address.get_backend_name()}: only postgresql:// URLs are known; leave it out for a "
            "journal file, which the workers of one machine can share"
        )
    address = address.set(drivername=_DRIVER)
    try:
        return _patiently(_connected)(address) if patient else _connected(address)
    except ImportError as error:
        raise UserError("--storage needs the PostgreSQL driver: pip install 'pppl[cluster]'") from error
    except (StorageInternalError, DBAPIError) as error:
        raise UserError(
            f"{hide_password(url)} does not answer ({reason_of(error)}): check the URL and the server"
        ) from error


def _connected(address: URL) -> BaseStorage:
    # A connection per call: hundreds of workers keep none of the server's hundred.
    arguments = {"poolclass": NullPool, "connect_args": {"connect_timeout": 10}}
    for attempt in range(_TRIES):
        try:
            return _Patient(address.render_as_string(hide_password=False), engine_kwargs=arguments)
        except (StorageInternalError, DBAPIError) as error:
            # Two machines that begin at once make the same tables; what the other has made is there a moment later.
            if is_lost(error) or attempt + 1 == _TRIES:
                raise
            time.sleep(_PAUSE)
    raise AssertionError


def reason_of(error: BaseException) -> str:
    """The first line of the driver's own message."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def is_lost(error: BaseException) -> bool:
    """Whether the connection has failed, and not the statement."""
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    if isinstance(cause, PendingRollbackError):  # Optuna goes on in a session whose connection it has just lost
        cause = cause.__context__
    if not isinstance(cause, (OperationalError, InterfaceError)):
        return False
    # A server that is starting or stopping refuses connections with an error of its own class (57P0x).
    return cause.connection_invalidated or getattr(cause.orig, "sqlstate", None) in (None, "57P01", "57P02", "57P03")


def _patiently(method: Callable[..., Any]) -> Callable[..., Any]:
    """Calls a function of the storage again until the server answers."""

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
                        f"the study's database has not answered for {_PATIENCE / 3600:.0f} h; what is finished is "
                        "kept: run the same command again when it does"
                    ) from error
                time.sleep(_PAUSE)

    return call


class _Patient(RDBStorage):
    """Waits for a server that does not answer, once the study has begun.

    A call whose answer was lost is made twice. That is safe: values are set to the same again, and a trial that was
    queued or taken twice is dropped, as `Queue` does for those of a process that died.
    """


# What Optuna's cache calls of a database's storage instead of its public methods: it has no public way to be told of
# errors, and a storage that is no `RDBStorage` is not cached. A test holds that these are all.
_OF_CACHE = (
    *("_create_new_trial", "_set_trial_param", "_get_trials", "_get_best_trial_id"),
    "get_trial_id_from_study_id_trial_number",
)
CALLS = (*sorted(BaseStorage.__abstractmethods__), *_OF_CACHE)
for _name in CALLS:
    if hasattr(RDBStorage, _name):
        setattr(_Patient, _name, _patiently(getattr(RDBStorage, _name)))

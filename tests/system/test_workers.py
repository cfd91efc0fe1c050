import multiprocessing
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from pppl.system import processes as workers
from pppl.system.errors import UserError
from pppl.system.processes import Workers, threads


@pytest.fixture(scope="module", autouse=True)
def _quick_to_start() -> None:
    """The server, if it is not there yet, has what workers begin with."""
    workers.worker_context("torch")


def _spans(_: str) -> tuple[float, float]:
    start = time.monotonic()
    time.sleep(0.3)
    return start, time.monotonic()


def _threads(_: int) -> int:
    with threads(2):
        return torch.get_num_threads()


def test_tasks_with_several_threads_take_turns():
    with Workers(2) as pool:
        spans = sorted(pool.spread(_spans, ["a", "b", "c"], at_once=1))
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))
        assert list(pool.spread(_threads, [0])) == [2]
        assert sorted(pool.spread(abs, [-1, -2, -3])) == [1, 2, 3]


def _variable(name: str) -> str | None:
    return os.environ.get(name)


def test_workers_have_the_environment_of_now(monkeypatch: pytest.MonkeyPatch):
    with Workers(2) as pool:
        assert list(pool.spread(_variable, ["PPPL_ANY"])) == [None]
    monkeypatch.setenv("PPPL_ANY", "now")
    with Workers(2) as pool:
        assert list(pool.spread(_variable, ["PPPL_ANY"])) == ["now"]
    monkeypatch.delenv("PPPL_CACHE")  # the server has it
    with Workers(2) as pool:
        assert list(pool.spread(_variable, ["PPPL_CACHE"])) == [None]


def _faults(_: int) -> int:
    """Pages that come from the system when 64 MiB are taken and freed twenty times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc lets itself be told")
def test_workers_keep_the_memory_that_they_free():
    pages = 2**26 // resource.getpagesize()
    with Workers(2) as pool:
        # Two or three times, since what else is taken may lie in the way; each of the twenty times if none is kept.
        assert max(pool.spread(_faults, [0, 1])) < 10 * pages


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def _end(how: int) -> None:
    """Ends this process: by a signal, or, from 1000 on, with an exit code."""
    if how >= 1000:
        os._exit(how - 1000)
    os.kill(os.getpid(), how)
    time.sleep(60)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (signal.SIGKILL, "SIGKILL.*memory.*fewer --workers"),
        (signal.SIGBUS, "SIGBUS.*/dev/shm"),
        (signal.SIGSEGV, "SIGSEGV.*a fault in a library"),
        (1003, "exit code 3"),
    ],
)
def test_a_worker_that_ends_is_told_with_its_reason(how: int, reason: str):
    with pytest.raises(UserError, match=f"a worker process .*{reason}"), Workers(2) as pool:
        list(pool.spread(_end, [how, how]))
    assert not multiprocessing.active_children()


def _raise(error: BaseException) -> None:
    raise error


def test_errors_of_workers_are_raised_as_they_are():
    for error in (UserError("wrong"), MemoryError(), KeyboardInterrupt()):
        with pytest.raises(type(error)), Workers(2) as pool:
            list(pool.spread(_raise, [error]))
    with pytest.raises(RuntimeError, match="cannot send"), Workers(2) as pool:
        list(pool.spread(_unsendable, [0]))


def _unsendable(_: int) -> object:
    return lambda: None


class Unreadable:
    """What cannot be read in another process."""

    def __reduce__(self):
        return _raise, (ImportError("no module that this needs"),)


def test_a_task_that_cannot_be_read_is_told_with_the_reason():
    with pytest.raises(UserError, match="cannot start: ImportError: no module"), Workers(2) as pool:
        list(pool.spread(abs, [Unreadable()]))  # type: ignore[list-item]


def test_tasks_that_nobody_waits_for_disturb_no_later_ones():
    with Workers(2) as pool:
        tasks = pool.spread(_spans, ["a", "b", "c"])
        next(tasks)
        tasks.close()
        assert sorted(pool.spread(abs, range(-9, 0))) == list(range(1, 10))


_SCRIPT = """
import os, signal, sys
from multiprocessing import util
spawn = util.spawnv_passfds
masks = []

def spawned(path, arguments, passed):
    masks.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
    return spawn(path, arguments, passed)

if __name__ == "__main__":
    from pppl.system.processes import Workers
    util.spawnv_passfds = spawned
    with Workers(2) as pool:
        assert sorted(pool.spread(abs, [-1, -2])) == [1, 2]
    assert masks[-1], "the server is not to tell Ctrl-C"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
"""


def test_workers_start_whatever_the_temporary_folder_and_ranks_are(tmp_path: Path):
    script, long = tmp_path / "script.py", tmp_path / ("t" * 100)
    script.write_text(_SCRIPT)
    long.mkdir()
    variables = {"TMPDIR": str(long), "LOCAL_RANK": "x", "TORCHELASTIC_RUN_ID": "1"}
    done = subprocess.run([sys.executable, script], env=os.environ | variables, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_temporary_folder_it_is_named(monkeypatch: pytest.MonkeyPatch):
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(workers.tempfile, "gettempdir", none)
    with pytest.raises(UserError, match=r"No usable temporary directory.*TMPDIR.*--workers 1"):
        workers.worker_context("os")


def test_a_server_that_has_ended_is_told(monkeypatch: pytest.MonkeyPatch):
    class Gone:
        def Process(self, **_: object) -> "Gone":
            return self

        def start(self) -> None:
            raise EOFError

    with pytest.raises(UserError, match=r"cannot be started.*ulimit -u.*--workers 1"):
        workers.start_quietly(Gone(), _end, (1,))


def test_what_a_worker_cannot_import_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers.signal, "signal", lambda *_: None)  # this process is no worker
    monkeypatch.setattr(workers.signal, "pthread_sigmask", lambda *_: None)
    before = dict(os.environ)
    for error, told in (
        (ImportError("x.so: failed to map segment"), "out of memory"),
        (ImportError("x"), "ImportError: x"),
    ):
        monkeypatch.setattr("pppl.system.memory.keep_freed", lambda error=error: _raise(error))
        with pytest.raises(UserError, match=f"a worker process cannot start: {told}"):
            workers.start_worker(before)

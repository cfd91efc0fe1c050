"""Work spread over processes with one thread each."""

import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.connection import Connection, wait
from multiprocessing.pool import ExceptionWithTraceback  # pyright: ignore[reportAttributeAccessIssue]
from typing import Any, TypeVar, cast

from .environment import without_launcher
from .errors import UserError, explain

Task = TypeVar("Task")
Result = TypeVar("Result")

# Bytes of a temporary folder; multiprocessing adds 30, and a socket's path has 107, on some systems fewer.
_LONGEST = 60


class Workers:
    """Processes that tasks are spread over; with one worker all happens in this process.

    Each has one thread of torch, but for tasks that set their own number, and so has this process while it works: sums
    in another order would change numbers, and with them what a resumed comparison ends with.

    With more than one, the program's main module must be importable without running (as the command line's is, and a
    notebook's). They are told by pipes, which need no shared memory.
    """

    def __init__(self, count: int):
        self.count = count
        self._all: list[_Worker] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for worker in self._all:  # interrupted, or a task has failed: finished units are kept, the rest is dropped
            worker.dismiss(at_once=kind is not None)
        for worker in self._all:
            worker.process.join()

    def spread(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], *, at_once: int | None = None
    ) -> Iterator[Result]:
        """Calls `function` on every task and yields what it returns, in the order in which tasks end.

        **Arguments:**

        - `at_once`: tasks that run at a time, at most; fewer than there are processes where a task has several threads.

        Raises `UserError` where a worker process cannot start or is killed.
        """
        if self.count == 1:
            with threads(1):
                yield from map(function, tasks)
            return
        waiting, at_once = iter(tasks), min(at_once or self.count, self.count)
        busy: dict[Any, _Worker] = {}
        answers: list[Result] = []
        try:
            while True:
                for task in islice(waiting, at_once - len(busy)):
                    worker = self._free(busy, function.__module__)
                    worker.give(function, task)
                    busy[worker.pipe] = worker
                yield from answers
                if not busy:
                    return
                ended = [busy.pop(pipe) for pipe in cast(list[Any], wait(list(busy)))]
                answers = [worker.answer() for worker in ended]
        finally:  # what others still work on, nobody waits for
            for worker in busy.values():
                worker.dismiss(at_once=True)
            for worker in busy.values():
                worker.process.join()
                self._all.remove(worker)

    def _free(self, busy: Mapping[Any, "_Worker"], module: str) -> "_Worker":
        for worker in self._all:
            if worker.pipe not in busy:
                return worker
        self._all.append(_Worker(module))
        return self._all[-1]


class _Worker:
    """One process, and the pipe to it."""

    def __init__(self, module: str):
        context = worker_context(module)
        self.pipe, theirs = context.Pipe()
        with theirs:
            self.process = start_quietly(context, _serve, (theirs, worker_environment()))

    def give(self, function: Callable[[Task], Any], task: Task) -> None:
        """Begin a task."""
        with suppress(BrokenPipeError, ConnectionResetError):  # it has ended, as `answer` tells
            self.pipe.send((function, task))

    def answer(self) -> Any:
        """What the task returned. Raises what it raised, and `UserError` where the process has ended."""
        try:
            answer, failed = self.pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            self.process.join()
            raise UserError(f"a worker process {describe_exit(self.process.exitcode)}") from error
        if failed:
            raise answer
        return answer

    def dismiss(self, *, at_once: bool) -> None:
        """End the process: with the next task that it waits for, or at once."""
        if at_once:
            self.process.kill()  # Lightning catches the gentler signal; all that workers write is written atomically
        self.pipe.close()


def _serve(pipe: Connection, variables: Mapping[str, str]) -> None:
    """Do what the other end of the pipe asks for, until that is closed."""
    failure: BaseException | None = None
    try:
        start_worker(variables)
    except UserError as error:
        failure = error
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            answer, failed = _answer(pipe, failure)
            try:
                pipe.send((answer, failed))
            except (pickle.PicklingError, TypeError, AttributeError) as error:  # no process can send what it is
                pipe.send((RuntimeError(f"a worker cannot send {answer!r}: {error}"), True))


def _answer(pipe: Connection, failure: BaseException | None) -> tuple[Any, bool]:
    """What the next task gives, or what it or the start of this process fails with. Raises `EOFError` without one."""
    try:
        function, task = pipe.recv()
    except EOFError:
        raise
    except Exception as error:  # what the task needs cannot be imported here
        return failure or _not_started(error), True
    try:
        if failure is None:
            return function(task), False
    except BaseException as error:
        failure = error
    return ExceptionWithTraceback(failure, failure.__traceback__), True


def _not_started(error: Exception) -> UserError:
    reason = explain(error) or f"{type(error).__name__}: {error}"
    return UserError(f"a worker process cannot start: {reason}")


def describe_exit(code: int | None) -> str:
    """How a process that should go on ended, and what to do."""
    if code is not None and code >= 0:
        return f"ended with exit code {code} and its reason is above; mend that and run the same command again"
    number = -(code or 0)
    name = f"{signal.Signals(number).name}" if number in set(signal.Signals) else f"signal {number}"
    reasons = {
        signal.SIGKILL: "perhaps for want of memory: run the same command again, with fewer --workers",
        signal.SIGBUS: "perhaps for want of space in /dev/shm or on a disk: free some, or run with --workers 1",
        signal.SIGILL: "perhaps since a library was built for another processor: install one for this",
        signal.SIGTERM: "by somebody or by the system: run the same command again",
    }
    reason = reasons.get(cast(signal.Signals, number), "by a fault in a library: run with --workers 1 to see more")
    return f"was killed ({name}), {reason}; what is finished is kept"


def worker_environment() -> dict[str, str]:
    """What workers have: all of this process's but what makes it one of several."""
    with without_launcher():
        return dict(os.environ)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """While open, torch uses `count` threads in this process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def worker_context(module: str) -> Any:
    """A context for processes that begin with what `module` imports.

    On Linux a server that has imported it forks them, since imports are most of what they would do first: seconds, and
    hundreds of MiB that they share so. (On macOS what a fork inherits of system libraries may not work.)
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    resource_tracker.ensure_running()  # which unblocks what is blocked here
    # The server's stays blocked: Ctrl-C while it imports is not its to tell.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with without_launcher():
            _start_server()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def _start_server() -> None:
    """Start it, if it does not run, with a socket whose path fits the system: TMPDIR may be too long for one."""
    usual = tempfile.tempdir
    try:
        if len(os.fsencode(tempfile.gettempdir())) > _LONGEST:
            tempfile.tempdir = "/tmp"  # noqa: S108 (a folder of its own is made in there)
        util.get_temp_dir()  # where multiprocessing keeps sockets from now on
    except OSError as error:
        raise _no_socket(error) from error
    finally:
        tempfile.tempdir = usual
    try:
        forkserver.ensure_running()
    except OSError as error:
        if error.errno is None:  # the folder was chosen before, and its path is too long
            raise _no_socket(error) from error
        raise


def _no_socket(error: OSError) -> UserError:
    return UserError(
        f"worker processes need a socket in a temporary folder ({error.strerror or error}): set TMPDIR to a short path "
        "that can be written, or run with --workers 1"
    )


def start_quietly(context: Any, function: Callable[..., None], arguments: tuple[Any, ...]) -> Any:
    """A process that has begun. Raises `UserError` where none can be had."""
    process = context.Process(target=function, args=arguments)
    try:
        process.start()
    except (EOFError, ConnectionError, BlockingIOError) as error:  # the server that forks them has ended
        raise UserError(
            "a worker process cannot be started, perhaps for want of memory or since no more processes are allowed "
            "(ulimit -u): mend that, or run with --workers 1"
        ) from error
    return process


def start_worker(variables: Mapping[str, str]) -> None:
    """Makes a new process a worker: one thread, memory kept, Ctrl-C left to its parent, with which it ends.

    - `variables`: the environment that it has from now on.

    Raises `UserError` where it cannot work.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle, also while torch is imported
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # for what this process may start
    os.environ.clear()  # the server that forked it knows the environment of its own start alone
    os.environ.update(variables)
    try:
        import torch

        from .memory import keep_freed

        keep_freed()
        torch.set_num_threads(1)
    except Exception as error:
        raise _not_started(error) from error
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

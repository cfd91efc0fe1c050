"""Worker processes with one thread each."""

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
from .errors import UserError, explain, require_unix
from .plugins import define, notebook_definitions

Task = TypeVar("Task")
Result = TypeVar("Result")

# Most bytes of a temporary folder's path: multiprocessing adds 30, and a socket's path has at most 107 (or fewer).
_LONGEST = 60


class Workers:
    """A pool of worker processes. With one worker, tasks run in this process instead.

    Torch uses one thread in each worker, and in this process while it runs tasks, unless a task sets another number.
    More threads would add numbers in another order, and a resumed comparison would end with other results.

    With more than one worker, the program's main module must be importable without side effects, like that of the
    command line or a notebook. Tasks and results travel through pipes, which need no shared memory.

    >>> with Workers(1) as pool:
    ...     list(pool.spread(abs, [-1, -2]))
    [1, 2]
    """

    def __init__(self, count: int):
        self.count = count
        self._all: list[Worker] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for worker in self._all:  # after an interrupt or a failed task, finished units are kept and others dropped
            worker.dismiss(at_once=kind is not None)
        for worker in self._all:
            worker.process.join()

    def spread(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], *, at_once: int | None = None
    ) -> Iterator[Result]:
        """Call `function` on every task and yield the results, in the order in which tasks end.

        **Arguments:**

        - `at_once`: how many tasks run at once, at most. Fewer than there are workers suits tasks of several threads.

        Raise `UserError` if a worker process cannot start or is killed.
        """
        if self.count == 1:
            with threads(1):
                yield from map(function, tasks)
            return
        waiting, at_once = iter(tasks), min(at_once or self.count, self.count)
        busy: dict[Any, Worker] = {}
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
        finally:  # nobody waits for tasks that still run
            for worker in busy.values():
                worker.dismiss(at_once=True)
            for worker in busy.values():
                worker.process.join()
                self._all.remove(worker)

    def _free(self, busy: Mapping[Any, "Worker"], module: str) -> "Worker":
        for worker in self._all:
            if worker.pipe not in busy:
                return worker
        self._all.append(Worker(module))
        return self._all[-1]


class Worker:
    """One process, and the pipe to it."""

    def __init__(self, module: str):
        context = worker_context(module)
        self.pipe, theirs = context.Pipe()
        with theirs:
            self.process = start_quietly(context, _serve, (theirs, worker_environment(), notebook_definitions()))

    def give(self, function: Callable[[Task], Any], task: Task) -> None:
        """Send a task to the process."""
        with suppress(BrokenPipeError, ConnectionResetError):  # the process has ended, which `answer` reports
            self.pipe.send((function, task))

    def answer(self) -> Any:
        """Return the task's result. Raise the task's error, or `UserError` if the process has ended."""
        try:
            answer, failed = self.pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            self.process.join()
            raise UserError(f"a worker process {describe_exit(self.process.exitcode)}") from error
        if failed:
            raise answer
        return answer

    def dismiss(self, *, at_once: bool) -> None:
        """End the process, at once or after its current task."""
        if at_once:
            self.process.kill()  # Lightning catches SIGTERM; this is safe, since workers write files atomically
        self.pipe.close()


def _serve(pipe: Connection, variables: Mapping[str, str], definitions: bytes) -> None:
    """Run tasks from the pipe until its other end is closed."""
    failure: BaseException | None = None
    try:
        start_worker(variables)
        define(definitions)
    except UserError as error:
        failure = error
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            answer, failed = _answer(pipe, failure)
            try:
                pipe.send((answer, failed))
            except (pickle.PicklingError, TypeError, AttributeError) as error:  # the result cannot be pickled
                pipe.send((RuntimeError(f"a worker cannot send {answer!r}: {error}"), True))


def _answer(pipe: Connection, failure: BaseException | None) -> tuple[Any, bool]:
    """Run the next task. Return its result or error, and whether it failed; raise `EOFError` if no task comes.

    **Arguments:**

    - `failure`: why this process could not start, which is then the answer to any task.
    """
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
    """Return how a process ended that should still run, and what to do."""
    if code is not None and code >= 0:
        return f"ended with exit code {code}: see the error above, fix it and run the same command again"
    number = -(code or 0)
    name = f"{signal.Signals(number).name}" if number in set(signal.Signals) else f"signal {number}"
    reasons = {
        signal.SIGKILL: "perhaps for lack of memory: run the same command again, with fewer --workers",
        signal.SIGBUS: "perhaps for lack of space in /dev/shm or on a disk: free some, or run with --workers 1",
        signal.SIGILL: "perhaps because a library was built for another processor: install one for this processor",
        signal.SIGTERM: "by somebody or by the system: run the same command again",
    }
    reason = reasons.get(cast(signal.Signals, number), "by a fault in a library: run with --workers 1 to see more")
    return f"was killed ({name}), {reason}; finished work is kept"


def worker_environment() -> dict[str, str]:
    """Return the environment of this process without the variables that make it one of several, for a worker."""
    with without_launcher():
        return dict(os.environ)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Make torch use `count` threads in this process until the block ends."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def worker_context(module: str) -> Any:
    """Return a multiprocessing context for workers. On Linux, they start with `module` already imported.

    A server that has imported the module forks them, which saves each seconds of imports and hundreds of MiB. On macOS
    they are spawned, since its system libraries may fail after a fork. Raise `UserError` on Windows.
    """
    require_unix("more than 1 worker", "use 1 worker, or WSL")
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    resource_tracker.ensure_running()  # before signals are blocked, since it unblocks them
    # SIGINT stays blocked in the server: only its parent handles a Ctrl-C that comes while the server imports.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with without_launcher():
            _start_server()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def _start_server() -> None:
    """Start the fork server unless it runs. If TMPDIR is too long for the path of its socket, use /tmp."""
    usual = tempfile.tempdir
    try:
        if len(os.fsencode(tempfile.gettempdir())) > _LONGEST:
            tempfile.tempdir = "/tmp"  # noqa: S108 (multiprocessing makes its own folder in there)
        util.get_temp_dir()  # where multiprocessing keeps sockets from now on
    except OSError as error:
        raise _no_socket(error) from error
    finally:
        tempfile.tempdir = usual
    try:
        forkserver.ensure_running()
    except OSError as error:
        if error.errno is None:  # the folder had been chosen already, and its path is too long
            raise _no_socket(error) from error
        raise


def _no_socket(error: OSError) -> UserError:
    return UserError(
        f"worker processes need a socket in a temporary folder ({error.strerror or error}): set TMPDIR to a short path "
        "that can be written, or run with --workers 1"
    )


def start_quietly(context: Any, function: Callable[..., None], arguments: tuple[Any, ...]) -> Any:
    """Start a process and return it. Raise `UserError` if it cannot be started."""
    process = context.Process(target=function, args=arguments)
    try:
        process.start()
    except (EOFError, ConnectionError, BlockingIOError) as error:  # the server that forks them has ended
        raise UserError(
            "a worker process cannot be started, perhaps for lack of memory or because no more processes are allowed "
            "(ulimit -u): free or allow more, or run with --workers 1"
        ) from error
    return process


def start_worker(variables: Mapping[str, str]) -> None:
    """Make a new process a worker: it uses one thread, keeps freed memory, ignores Ctrl-C and ends with its parent.

    **Arguments:**

    - `variables`: the environment of the worker.

    Raise `UserError` if it cannot start.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C, also while torch is imported
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # for processes that this one may start
    os.environ.clear()  # it was inherited from the fork server, which may have started in another environment
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

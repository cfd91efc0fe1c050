"""Work spread over processes with one thread each."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import forkserver
from typing import Any, TypeVar

from ..errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers:
    """Processes that tasks are spread over; with one worker all happens in this process.

    Each has one thread of torch, but for tasks that set their own number, and so has this process while it works: sums
    in another order would change numbers, and with them what a resumed comparison ends with.

    With more than one, the program's main module must be importable without running (as the command line's is, and a
    notebook's).
    """

    def __init__(self, count: int):
        self.count = count
        self._others = set(multiprocessing.active_children())
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._executor is None:
            return
        if kind is not None:  # interrupted, or a task has failed: finished units are kept, the rest is dropped
            self._executor.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - self._others:
                process.kill()  # Lightning catches the gentler signal; all that workers write is written atomically
        self._executor.shutdown()

    def spread(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], *, at_once: int | None = None
    ) -> Iterator[Result]:
        """Calls `function` on every task and yields what it returns, in the order in which tasks end.

        **Arguments:**

        - `at_once`: tasks that run at a time, at most; fewer than there are processes where a task has several threads.

        Raises `UserError` where a worker process is killed.
        """
        if self.count == 1:
            with threads(1):
                yield from map(function, tasks)
            return
        executor = self._executor = self._executor or _executor(self.count, function.__module__)
        waiting = iter(tasks)
        running = {executor.submit(function, task) for task in islice(waiting, at_once)}
        try:
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {executor.submit(function, task) for task in islice(waiting, len(ended))}
                for future in ended:
                    yield future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process was killed, perhaps for want of memory; what is finished is kept: "
                "run the same command again, with fewer --workers"
            ) from error


def _executor(count: int, module: str) -> ProcessPoolExecutor:
    context, variables = processes(module), dict(os.environ)
    return ProcessPoolExecutor(count, context, initializer=start_worker, initargs=(variables,))


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


def processes(module: str) -> Any:
    """A context for processes that begin with what `module` imports.

    On Linux a server that has imported it forks them, since imports are most of what they would do first: seconds, and
    hundreds of MiB that they share so. (On macOS what a fork inherits of system libraries may not work.)
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    # The server's stays blocked: Ctrl-C while it imports is not its to tell.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def start_worker(variables: Mapping[str, str]) -> None:
    """Makes a new process a worker: one thread, memory kept, Ctrl-C left to its parent, with which it ends.

    - `variables`: the environment that it has from now on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle, also while torch is imported
    os.environ.clear()  # the server that forked it knows the environment of its own start alone
    os.environ.update(variables)
    import torch

    from .memory import keep_freed

    keep_freed()
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

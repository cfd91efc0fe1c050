"""Work spread over processes with one thread each."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ..errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")


def spread(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """Calls `function` on every task and yields what it returns, in the order in which tasks end.

    With one worker all happens in this process. With more, `function`, tasks and results are pickled, and the program's
    main module must be importable without running (as the command line's is, and a notebook's).

    Raises `UserError` where a worker process is killed.
    """
    tasks = list(tasks)
    if min(workers, len(tasks)) <= 1:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), context, initializer=_start_worker) as executor:
        futures = [executor.submit(function, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process was killed, perhaps for want of memory; what is finished is kept: "
                "run the same command again, with fewer --workers"
            ) from error
        finally:
            for future in futures:
                future.cancel()
            if not all(future.done() for future in futures):  # interrupted, or a task has failed
                for process in multiprocessing.active_children():
                    process.terminate()


def _start_worker() -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

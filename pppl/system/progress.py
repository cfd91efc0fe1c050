"""Progress bars and notices for people. Bars appear in a terminal or a notebook, not in a log."""

import logging
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TextIO

from .printable import printable

_ABOUT: ContextVar[str] = ContextVar("about", default="")


def in_notebook() -> bool:
    """Return whether a Jupyter kernel runs this process."""
    if "ipykernel" not in sys.modules:  # no import: most processes have nothing to do with Jupyter
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


@contextmanager
def about(what: str) -> Iterator[None]:
    """Begin all notices of this thread with `what` while the context is open.

    >>> with about("trial 3"):
    ...     notice("training full, seed 0")  # pppl: trial 3: training full, seed 0
    """
    before = _ABOUT.set(f"{what}: ")
    try:
        yield
    finally:
        _ABOUT.reset(before)


def notice(message: str) -> None:
    """Print one line for the user: to stderr, or in a notebook, which shows stderr as an error, to stdout.

    If the stream is closed, the line is dropped and work continues.

    ```python
    notice("2 of 20 persons have too few samples")  # pppl: 2 of 20 persons have too few samples
    ```
    """
    stream = sys.stdout if in_notebook() else sys.stderr
    if stream is not None:
        with suppress(OSError, ValueError):
            print(f"pppl: {_ABOUT.get()}{printable(message)}", file=stream, flush=True)


def bars_shown(stream: TextIO | None = None) -> bool:
    """Return whether anybody sees the bars of this process. Workers show none, and `TQDM_DISABLE` hides all.

    **Arguments:**

    - `stream`: where the bar is drawn, standard error by default.
    """
    if os.environ.get("TQDM_DISABLE") or multiprocessing.parent_process() is not None:
        return False
    stream = stream or sys.stderr
    return in_notebook() or (stream is not None and stream.isatty())


def bar(*arguments: Any, **options: Any) -> Any:
    """Return a `tqdm` bar: a widget in a notebook, a line in a terminal, and hidden elsewhere.

    ```python
    for batch in bar(batches, desc="epoch 1"):
        step(batch)
    ```
    """
    from tqdm.auto import tqdm

    return tqdm(*arguments, disable=not bars_shown(), **options)


@contextmanager
def quieter(logger: logging.Logger, level: int) -> Iterator[None]:
    """Let a logger show messages from `level` on only, until the block ends.

    >>> with quieter(logging.getLogger("example"), logging.ERROR):
    ...     logging.getLogger("example").isEnabledFor(logging.WARNING)
    False
    """
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)

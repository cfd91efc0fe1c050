"""Progress bars where somebody looks: in a terminal and in a notebook, not in a log."""

import multiprocessing
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from .printable import printable


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process."""
    if "ipykernel" not in sys.modules:  # no import: most processes have nothing to do with Jupyter
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def notice(message: str) -> None:
    """One line for the user, on stderr; in a notebook, which shows that as an error, beside what cells print.

    Where nobody reads it any more, work goes on without.
    """
    stream = sys.stdout if in_notebook() else sys.stderr
    if stream is not None:
        with suppress(OSError, ValueError):
            print(f"pppl: {printable(message)}", file=stream, flush=True)


def bars_shown(stream: TextIO | None = None) -> bool:
    """Whether anybody sees a bar of this process; workers have no line of their own, `TQDM_DISABLE` hides all.

    **Arguments:**

    - `stream`: where the bar is drawn, standard error by default.
    """
    if os.environ.get("TQDM_DISABLE") or multiprocessing.parent_process() is not None:
        return False
    stream = stream or sys.stderr
    return in_notebook() or (stream is not None and stream.isatty())


def bar(*arguments: Any, **options: Any) -> Any:
    """`tqdm` of the place: a widget in a notebook, a line in a terminal."""
    from tqdm.auto import tqdm

    return tqdm(*arguments, disable=not bars_shown(), **options)

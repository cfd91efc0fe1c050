"""The terminal of a command: its streams, which may be missing or broken, and Ctrl-C, which may come at any moment."""

import io
import os
import select
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn, TextIO

_TOLD = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_REST = "what is finished is kept, the same command goes on from there"


def ready_streams() -> None:
    """Make the standard streams such that printing never fails and that names of files are read as the system has them.

    A stream that is closed reads as empty and takes what is written; else the next file that is opened would have its
    place.
    """
    for number in range(3):
        _reserve(number)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 (it stays)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding=sys.getfilesystemencoding(), errors="surrogateescape")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _reserve(number: int) -> None:
    """Open the null device at a descriptor that is closed. Those below are open."""
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # which takes the lowest that is free


def is_of_printing(error: OSError) -> bool:
    """Whether an error comes from what a command prints, and from no file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = trace.tb_frame.f_globals["__name__"] if trace is not None else ""
    return error.filename is None and where.startswith("pppl.cli")


def nobody_reads() -> bool:
    """Whether who read what this command prints has ended, as `head` does."""
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # no real file, as in a notebook
            poll.register(stream.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def settle(stream: TextIO) -> None:
    """Hand on what was printed, and forget what nobody takes: the interpreter would complain of it as it ends."""
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def watch_signals() -> None:
    """From now on, Ctrl-C and a polite kill end this process with one line, at any moment and however often they come.

    The first is a `KeyboardInterrupt`, so that what is open is closed. In the middle of an import, which libraries do
    not expect to fail so, and from the second on, the process ends at once: all that it writes is written atomically.
    Signals that this process was started to ignore stay ignored.
    """
    handler = _Handler()
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) == usual:
            signal.signal(number, handler)
    sys.unraisablehook = _unraisable


class _Handler:
    """What the first signal does, and what others do."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.came or _importing(frame):
            _end(signal.Signals(number))
        self.came = True
        raise Interrupted(signal.Signals(number))


class Interrupted(KeyboardInterrupt):
    """A signal that ends the command; `code` is what a shell calls that."""

    def __init__(self, number: signal.Signals = signal.SIGINT):
        super().__init__(f"{_TOLD[number]}; {_REST}")
        self.code = 128 + number


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _end(number: signal.Signals) -> NoReturn:
    """End at once. Workers end with their parent."""
    with suppress(OSError):
        os.write(2, f"pppl: {_TOLD[number]}; {_REST}\n".encode())
    os._exit(128 + number)


def _unraisable(problem: Any) -> None:
    """An interrupt in a place that cannot pass it on, such as a destructor, is no less one."""
    if isinstance(problem.exc_value, Interrupted):
        _end(signal.Signals(problem.exc_value.code - 128))
    sys.__unraisablehook__(problem)

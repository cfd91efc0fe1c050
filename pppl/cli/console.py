"""The console of a command: standard streams, which may be missing or broken, and signals, which come at any time."""

import io
import os
import select
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn, TextIO

_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_REST = "finished work is kept; run the same command again to continue"


def ready_streams() -> None:
    """Prepare the standard streams: printing never fails, and names of files are read in the system's encoding.

    A closed stream is replaced by the null device. Otherwise the next opened file would take its descriptor.
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
    """Open the null device at this descriptor if it is closed. All lower descriptors must be open."""
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor


def is_of_printing(error: OSError) -> bool:
    """Return whether an error comes from printing, and not from a file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = trace.tb_frame.f_globals["__name__"] if trace is not None else ""
    return error.filename is None and where.startswith("pppl.cli")


def nobody_reads() -> bool:
    """Return whether the program that reads this command's output has ended, as `head` does."""
    if not hasattr(select, "poll"):  # on Windows, a pipe that is broken tells it alone
        return True
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the stream is no real file, as in a notebook
            poll.register(stream.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def settle(stream: TextIO) -> None:
    """Flush a stream. If nobody reads it, discard the output, since the interpreter would complain when it ends."""
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def watch_signals() -> None:
    """Make Ctrl-C and SIGTERM end this process with one line, at any moment and however often they come.

    The first signal raises `KeyboardInterrupt`, so that open files are closed. The process ends at once for the second
    signal, and for one during an import, where libraries do not expect an interrupt. This is safe, since all files are
    written atomically. Signals that this process was started to ignore stay ignored.
    """
    handler = _Handler()
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) == usual:
            signal.signal(number, handler)
    sys.unraisablehook = _unraisable


class _Handler:
    """The handler of signals. The first one raises an exception, and others end the process."""

    def __init__(self) -> None:
        self.signalled = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signalled or _importing(frame):
            _end(signal.Signals(number))
        self.signalled = True
        raise Interrupted(signal.Signals(number))


class Interrupted(KeyboardInterrupt):
    """A signal that ends the command. `code` is the exit code that shells give to it."""

    def __init__(self, number: signal.Signals = signal.SIGINT):
        super().__init__(f"{_NAMES[number]}; {_REST}")
        self.code = 128 + number


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _end(number: signal.Signals) -> NoReturn:
    """End this process at once. Its workers end with it."""
    with suppress(OSError):
        os.write(2, f"pppl: {_NAMES[number]}; {_REST}\n".encode())
    os._exit(128 + number)


def _unraisable(problem: Any) -> None:
    """End the process if it was interrupted where exceptions cannot be raised, such as in a destructor."""
    if isinstance(problem.exc_value, Interrupted):
        _end(signal.Signals(problem.exc_value.code - 128))
    sys.__unraisablehook__(problem)

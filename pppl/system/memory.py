"""How much memory a piece of work needs at its peak."""

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

import torch

from .errors import UserError


def resident_bytes(key: str) -> int:
    """Bytes of this process's memory, now (`VmRSS`) or at its peak (`VmHWM`), as Linux counts them.

    Raises `UserError` where it is not told: on other systems, and in containers that hide it.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    raise UserError("memory can be measured on Linux only, where /proc/self tells it")


def release_memory() -> None:
    """What is free goes back to the system."""
    gc.collect()
    _tell_malloc("malloc_trim", 0)


def keep_freed() -> None:
    """What is freed stays with this process, where the C library lets itself be told so (glibc).

    A training step takes and frees the same large tensors as the one before; taken anew from the system they come page
    by page.
    """
    _tell_malloc("mallopt", _MMAP_THRESHOLD, 2**30)
    _tell_malloc("mallopt", _TRIM_THRESHOLD, 2**31 - 1)


def _tell_malloc(function: str, *arguments: int) -> None:
    """Calls what glibc has and other C libraries have not."""
    call = getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None
    if call is not None:
        call(*arguments)


# As malloc.h numbers them.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


class PeakMemory:
    """What comes to the memory while it is open, at the peak: of the GPU where there is one, else resident memory.

    `bytes` is NaN where it cannot be told, which is on a CPU anywhere but on Linux, and in containers that keep a
    process from starting its peak anew.
    """

    bytes: float = float("nan")
    _before = float("nan")

    def __enter__(self) -> Self:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        elif sys.platform == "linux":
            release_memory()
            with suppress(OSError, UserError):
                Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew (proc(5))
                self._before = resident_bytes("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        if torch.cuda.is_available():
            self.bytes = torch.cuda.max_memory_allocated() - self._before
        elif sys.platform == "linux":
            with suppress(UserError):
                self.bytes = resident_bytes("VmHWM") - self._before

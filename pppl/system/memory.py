"""Measurement of the memory that a piece of work needs, and control of what the C library keeps."""

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

import torch

from .errors import UserError


def resident_bytes(key: str) -> int:
    """Return the memory of this process in bytes, now (`VmRSS`) or at its peak (`VmHWM`), as Linux counts it.

    Raise `UserError` if it cannot be read: on other systems, and in containers that hide it.

    ```python
    resident_bytes("VmRSS") / 2**20  # MiB
    ```
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    raise UserError("memory can be measured only on Linux, where /proc/self/status can be read")


def release_memory() -> None:
    """Return free memory to the system."""
    gc.collect()
    _tell_malloc("malloc_trim", 0)


def keep_freed() -> None:
    """Keep freed memory in this process instead of returning it to the system, if the C library is glibc.

    Each training step allocates and frees the same large tensors. Memory taken anew from the system is mapped page by
    page, which is slow.
    """
    _tell_malloc("mallopt", _MMAP_THRESHOLD, 2**30)
    _tell_malloc("mallopt", _TRIM_THRESHOLD, 2**31 - 1)


def _tell_malloc(function: str, *arguments: int) -> None:
    """Call a function of glibc; do nothing with other C libraries, which lack it."""
    call = getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None
    if call is not None:
        call(*arguments)


# Parameters of `mallopt`, as malloc.h numbers them.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


class PeakMemory:
    """The peak of the memory that is added during a block: GPU memory if there is a GPU, else resident memory.

    `bytes` is NaN where it cannot be measured: on a CPU with another system than Linux, and in containers that do not
    let a process reset its peak.

    ```python
    with PeakMemory() as memory:
        train()
    print(memory.bytes)
    ```
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
                Path("/proc/self/clear_refs").write_text("5")  # resets the peak (proc(5))
                self._before = resident_bytes("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        if torch.cuda.is_available():
            self.bytes = torch.cuda.max_memory_allocated() - self._before
        elif sys.platform == "linux":
            with suppress(UserError):
                self.bytes = resident_bytes("VmHWM") - self._before

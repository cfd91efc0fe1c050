"""The measurements of benchmarks, and timing of two functions in turns."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch


class Measured(NamedTuple):
    """A measured value, the peer that it is relative to, and the goal, such as `<= 1.5` or `93 to 97`."""

    name: str
    value: float
    peer: str
    goal: str
    unit: str = "x"


def paired_ratio(this: Callable[[], object], peer: Callable[[], object], *, runs: int, warm_up: int = 5) -> float:
    """Return the median over runs of (time of `this`) / (time of `peer`), with both timed in turns.

    ```python
    paired_ratio(lambda: gated(x), lambda: plain(x), runs=9)  # 1.5: the gated network takes half as long again
    ```
    """
    for _ in range(warm_up):
        this()
        peer()
    return statistics.median(seconds(this) / seconds(peer) for _ in range(runs))


def seconds(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes, including its work on a GPU."""
    start = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


@contextmanager
def own_folder(wandb: str = "disabled") -> Iterator[Path]:
    """Yield a temporary folder for results and the cache of networks. `wandb` is W&B's mode until the block ends."""
    before = {name: os.environ.get(name) for name in ("PPPL_CACHE", "WANDB_MODE")}
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"PPPL_CACHE": str(Path(name) / "cache"), "WANDB_MODE": wandb}
        try:
            yield Path(name)
        finally:
            for variable, value in before.items():
                os.environ.pop(variable)
                if value is not None:
                    os.environ[variable] = value

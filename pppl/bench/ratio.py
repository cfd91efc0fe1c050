"""What a benchmark measures, and how two things are timed in turns."""

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
    """A value, what it is measured against, and the goal, such as `<= 1.5` or `93 to 97`."""

    name: str
    value: float
    peer: str
    goal: str
    unit: str = "x"


def paired_ratio(this: Callable[[], object], peer: Callable[[], object], *, runs: int, warm_up: int = 5) -> float:
    """Median over runs of (time of `this`) / (time of `peer`), the two measured in turns."""
    for _ in range(warm_up):
        this()
        peer()
    return statistics.median(seconds(this) / seconds(peer) for _ in range(runs))


def seconds(function: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


@contextmanager
def own_folder(wandb: str = "disabled") -> Iterator[Path]:
    """A folder for results and networks that goes away; `wandb` is W&B's mode."""
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

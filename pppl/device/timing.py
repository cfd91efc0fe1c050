"""How long one call takes, with threads fixed, beside others in turns."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Name = TypeVar("Name")

_ON_END = 5


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of one call: median and quartiles."""

    median: float
    low: float
    high: float


def in_turns(calls: Mapping[Name, Callable[[], object]], *, runs: int = 100, warm_up: int = 10) -> dict[Name, Latency]:
    """Calls each at least `runs` times, a few times on end in turns, so that what slows the machine slows all of them.

    The first call of a few is not counted: weights of the others are in the processor's cache then.
    """
    spent: dict[Name, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(warm_up):
            call()
    for _ in range(-(-runs // _ON_END)):
        for name, call in calls.items():
            call()
            for _ in range(_ON_END):
                start = time.perf_counter()
                call()
                spent[name].append(1000 * (time.perf_counter() - start))
    return {name: _of(times) for name, times in spent.items()}


def _of(times: list[float]) -> Latency:
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return Latency(median=median, low=low, high=high)

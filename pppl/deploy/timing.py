"""How long one call takes, with threads fixed, beside others in turns."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

Name = TypeVar("Name")

_ON_END = 5


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of one call: median and quartiles."""

    median: float
    low: float
    high: float


def time_in_turns(
    calls: Mapping[Name, Callable[[], object]], *, runs: int = 100, warm_up: int = 10
) -> dict[Name, Latency]:
    """Calls each at least `runs` times, a few times on end in turns, so that what slows the machine slows all of them.

    The first call of a few is not counted: weights of the others are in the processor's cache then.
    """
    return {name: _of(list(chain(*turns))) for name, turns in _spent(calls, runs, warm_up).items()}


def speed_ups(calls: Mapping[Name, Callable[[], object]], to: Name) -> dict[Name, float]:
    """Return by what factor each call is faster than `to`: the median over turns, called as by `time_in_turns`.

    A turn counts by its fastest call, since whatever else the machine does only slows: these factors vary 0.6 times as
    much as those of medians of all calls.
    """
    spent = {name: [min(turn) for turn in turns] for name, turns in _spent(calls).items()}
    base = spent.pop(to)
    return {n: statistics.median(a / b for a, b in zip(base, turns, strict=True)) for n, turns in spent.items()}


def _spent(
    calls: Mapping[Name, Callable[[], object]], runs: int = 100, warm_up: int = 10
) -> dict[Name, list[list[float]]]:
    """Milliseconds of each call of each turn."""
    spent: dict[Name, list[list[float]]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(warm_up):
            call()
    for _ in range(-(-runs // _ON_END)):
        for name, call in calls.items():
            call()
            spent[name].append([_once(call) for _ in range(_ON_END)])
    return spent


def _once(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def _of(times: list[float]) -> Latency:
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return Latency(median=median, low=low, high=high)

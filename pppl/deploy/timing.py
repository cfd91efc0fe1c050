"""The latency of calls, timed in turns."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

Name = TypeVar("Name")

_CALLS_PER_TURN = 5


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of one call: median and quartiles.

    >>> Latency(median=1.5, low=1.4, high=1.8).median
    1.5
    """

    median: float
    low: float
    high: float


def time_in_turns(
    calls: Mapping[Name, Callable[[], object]], *, runs: int = 100, warm_up: int = 10
) -> dict[Name, Latency]:
    """Time each call at least `runs` times, in turns of a few calls each.

    In turns, other load on the machine slows all calls alike. The first call of each turn is not counted, since the
    processor's cache then holds the weights of another network.

    >>> sorted(time_in_turns({"sum": lambda: sum(range(9)), "max": lambda: max(range(9))}, runs=5))
    ['max', 'sum']

    **Arguments:**

    - `warm_up`: number of uncounted calls of each at the start.
    """
    return {name: _quartiles(list(chain(*turns))) for name, turns in _time_turns(calls, runs, warm_up).items()}


def speed_ups(calls: Mapping[Name, Callable[[], object]], to: Name) -> dict[Name, float]:
    """Return the factor by which each call is faster than `to`: the median over the turns of `time_in_turns`.

    The fastest call of a turn stands for the turn, since other load can only slow a call down. These factors vary 0.6
    times as much as ratios of medians over all calls.

    >>> speed_ups({"slow": lambda: sum(range(9999)), "fast": lambda: sum(range(9))}, "slow")["fast"] > 1
    True
    """
    spent = {name: [min(turn) for turn in turns] for name, turns in _time_turns(calls).items()}
    base = spent.pop(to)
    return {n: statistics.median(a / b for a, b in zip(base, turns, strict=True)) for n, turns in spent.items()}


def _time_turns(
    calls: Mapping[Name, Callable[[], object]], runs: int = 100, warm_up: int = 10
) -> dict[Name, list[list[float]]]:
    """Time all calls, and return milliseconds by name, turn and call."""
    spent: dict[Name, list[list[float]]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(warm_up):
            call()
    for _ in range(-(-runs // _CALLS_PER_TURN)):
        for name, call in calls.items():
            call()
            spent[name].append([_time_call(call) for _ in range(_CALLS_PER_TURN)])
    return spent


def _time_call(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def _quartiles(times: list[float]) -> Latency:
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return Latency(median=median, low=low, high=high)

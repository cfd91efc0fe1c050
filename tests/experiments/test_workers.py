import time
from itertools import pairwise

import torch

from pppl.experiments.workers import Workers, threads


def _spans(_: str) -> tuple[float, float]:
    start = time.monotonic()
    time.sleep(0.3)
    return start, time.monotonic()


def _threads(_: int) -> int:
    with threads(2):
        return torch.get_num_threads()


def test_tasks_with_several_threads_take_turns():
    with Workers(2) as pool:
        spans = sorted(pool.spread(_spans, ["a", "b", "c"], at_once=1))
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))
        assert list(pool.spread(_threads, [0])) == [2]
        assert sorted(pool.spread(abs, [-1, -2, -3])) == [1, 2, 3]


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before

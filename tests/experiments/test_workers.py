import os
import platform
import resource
import time
from itertools import pairwise

import pytest
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


def _variable(name: str) -> str | None:
    return os.environ.get(name)


def test_workers_have_the_environment_of_now(monkeypatch: pytest.MonkeyPatch):
    with Workers(2) as pool:
        assert list(pool.spread(_variable, ["PPPL_ANY"])) == [None]
    monkeypatch.setenv("PPPL_ANY", "now")
    with Workers(2) as pool:
        assert list(pool.spread(_variable, ["PPPL_ANY"])) == ["now"]
    monkeypatch.delenv("PPPL_CACHE")  # the server has it
    with Workers(2) as pool:
        assert list(pool.spread(_variable, ["PPPL_CACHE"])) == [None]


def _faults(_: int) -> int:
    """Pages that come from the system when 64 MiB are taken and freed twenty times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc lets itself be told")
def test_workers_keep_the_memory_that_they_free():
    pages = 2**26 // resource.getpagesize()
    with Workers(2) as pool:
        # Two or three times, since what else is taken may lie in the way; each of the twenty times if none is kept.
        assert max(pool.spread(_faults, [0, 1])) < 10 * pages


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before

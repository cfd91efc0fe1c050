"""Tests execute every notebook here (nbmake): on few data, with a cache of their own."""

from collections.abc import Generator
from functools import lru_cache
from tempfile import TemporaryDirectory

import pytest


@lru_cache(maxsize=1)
def _cache() -> TemporaryDirectory:
    """Of networks, for all notebooks of a process."""
    return TemporaryDirectory(prefix="pppl-notebooks-")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    settings = {
        "PPPL_FAST": "1",
        "TQDM_DISABLE": "1",
        "WANDB_MODE": "offline",
        "OMP_NUM_THREADS": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.setenv("PPPL_CACHE", _cache().name)
        return (yield)

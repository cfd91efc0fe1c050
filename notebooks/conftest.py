"""Tests execute every notebook here (nbmake): on few data, with networks that others trained."""

from collections.abc import Generator
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    settings = {
        "PPPL_FAST": "1",
        "TQDM_DISABLE": "1",
        "WANDB_MODE": "disabled",
        "OMP_NUM_THREADS": "1",
        "PPPL_CACHE": str(_cache(item)),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        return (yield)


def _cache(item: pytest.Item) -> Path:
    """Of networks, that of `tests/conftest.py`: one for all workers of pytest."""
    own = item.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    return (own.parent if own.name.startswith("popen-") else own) / "cache"

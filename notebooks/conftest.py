"""Tests execute every notebook here (nbmake), with a cache of their own and without bars."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def _quick(tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = os.environ.get("PPPL_CACHE") or str(tmp_path_factory.mktemp("cache"))
    os.environ |= {
        "PPPL_FAST": "1",
        "PPPL_CACHE": cache,
        "TQDM_DISABLE": "1",
        "WANDB_MODE": "offline",
    }
    os.environ["OMP_NUM_THREADS"] = "1"

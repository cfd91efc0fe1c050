"""Shared fixtures: a tiny experiment and its global model, isolated from the user's files."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import counting
import hypothesis
import pytest

from pppl import Experiment

# Modules that import torch or Lightning are imported inside the functions that need them. The pytest-xdist process that
# distributes the tests runs none of them, and these imports would delay it by ten seconds.
if TYPE_CHECKING:
    from pppl.data import IdentityDataset
    from pppl.personalizers import GlobalModel

# Deadlines are off: the speed of the machine must not fail a test.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

TINY = {
    "name": "tiny",
    "persons.classes": [2, 3],
    "persons.count": 2,
    "backbone.options.widths": [8, 12, 12],
    "training.epochs": 2,
    "finetune.steps": 2,
    "finetune.pruned_steps": 2,
    "budgets": [0.2, 0.5],
    "seeds": [0, 1],
}


# The notebooks that everybody opens first; the others are executed at length.
_FIRST_NOTEBOOKS = {"00_quickstart", "01_anatomy_of_ppp"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the slowest tests first, so that no worker is left with one of them at the end.

    Notebooks but the first are marked `slow`.
    """
    for item in items:
        if item.path.suffix == ".ipynb" and item.path.stem not in _FIRST_NOTEBOOKS:
            item.add_marker(pytest.mark.slow)
    slowest = {name.split("::")[0] for name in counting.budgets() if "::" in name}
    items.sort(key=lambda item: item.nodeid.split("::")[0] not in slowest and item.path.suffix != ".ipynb")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Check the budget of a test's fixtures."""
    before = counting.so_far()
    yield
    counting.check(item.nodeid, counting.so_far() - before, setup=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Check the budget of a test."""
    before = counting.so_far()
    yield
    counting.check(item.nodeid, counting.so_far() - before)


@pytest.fixture(scope="session", autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    import torch
    from stub_training import fork_with_more

    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PPPL_CACHE", str(shared_cache(tmp_path_factory)))
        patch.setenv("WANDB_MODE", "disabled")  # the fixture `tracked` turns it on
        patch.setenv("OMP_NUM_THREADS", "1")  # for processes that tests start
        patch.setattr(os, "cpu_count", lambda: 2)  # commands use two workers on any machine
        counting.install(patch)
        fork_with_more()
        yield


@pytest.fixture(scope="module", autouse=True)
def _plugins_forgotten() -> Iterator[None]:
    """Forget after each module the plugin files that its tests have loaded, since other tests walk the registries."""
    yield
    from pppl.system import plugins

    for path in [*plugins._RUN]:
        plugins._forget(plugins._module_name(path))
        del plugins._RUN[path]


def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cache folder that all pytest workers share.

    Each network is trained once, by the worker that needs it first.
    """
    own = tmp_path_factory.getbasetemp()
    return (own.parent if own.name.startswith("popen-") else own) / "cache"


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn on offline W&B runs, for tests that read them back."""
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.fixture
def sketched() -> Iterator[None]:
    """Skip the drawing of figures, for tests that look at none."""
    from stub_training import sketching

    with sketching():
        yield


@pytest.fixture(scope="session")
def tiny() -> Experiment:
    """Return an experiment on digits that trains for two epochs."""
    return Experiment().replace(**TINY)


@pytest.fixture(scope="session")
def digits() -> "IdentityDataset":
    """Return the data set of the tiny experiment."""
    from pppl.data import load_dataset

    return load_dataset("digits")


@pytest.fixture(scope="session")
def model(tiny: Experiment, digits: "IdentityDataset", tmp_path_factory: pytest.TempPathFactory) -> "GlobalModel":
    """Return the trained global model of the tiny experiment."""
    from pppl.comparison.global_models import global_model

    return global_model(tiny, digits, seed=0, folder=tmp_path_factory.mktemp("training"))


@pytest.fixture
def tiny_yaml(tmp_path: Path) -> Path:
    """Write the tiny experiment as a YAML file and return its path."""
    import yaml

    tree: dict = {}
    for key, value in TINY.items():
        node = tree
        *path, last = key.split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path

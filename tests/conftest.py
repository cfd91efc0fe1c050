"""Shared fixtures: a tiny experiment, its global model, and nothing that touches the user's files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pppl import Experiment
from pppl.data import IdentityDataset, load_dataset
from pppl.experiments.models import global_model
from pppl.personalizers import GlobalModel

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


# Whose tests take minutes: they begin first, so that no worker is left with one of them at the end.
_LONG = (
    *("test_postgres.py", "test_sweep.py", "test_house.py", "test_kills.py", "test_killed_sweeps.py", "test_cli.py"),
    *("test_personalize.py", "test_jupyterlab.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in _LONG and item.path.suffix != ".ipynb")


@pytest.fixture(scope="session", autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PPPL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("OMP_NUM_THREADS", "1")  # for the processes that tests start
        yield


@pytest.fixture(scope="session")
def tiny() -> Experiment:
    return Experiment().replace(**TINY)


@pytest.fixture(scope="session")
def digits() -> IdentityDataset:
    return load_dataset("digits")


@pytest.fixture(scope="session")
def model(tiny: Experiment, digits: IdentityDataset, tmp_path_factory: pytest.TempPathFactory) -> GlobalModel:
    return global_model(tiny, digits, seed=0, folder=tmp_path_factory.mktemp("training"))


@pytest.fixture
def tiny_yaml(tmp_path: Path) -> Path:
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

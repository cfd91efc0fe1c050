"""The files of a sweep, and what it says."""

from pathlib import Path
from typing import Any

import pytest
from sweep_files import write_files

from pppl import Experiment
from pppl.config import Sweep

SPACE: dict[str, Any] = {
    "ppp.target_rate": {"low": 0.1, "high": 0.9},
    "ppp.gate_width": {"choices": [4, 8]},
    "ppp.prototype_weight": {"low": 0.01, "high": 1.0, "log": True, "when": {"ppp.gate_width": [8]}},
}


@pytest.fixture
def folder(tiny: Experiment, tmp_path: Path) -> Path:
    """With an experiment file and a sweep's."""
    return write_files(tmp_path, tiny, SPACE).parent


@pytest.fixture
def settings(folder: Path) -> Sweep:
    return Sweep.load(folder / "mine.yaml")

"""Workers that are killed every moment, and the sweep itself: nothing is lost, nothing is done twice."""

import random
from pathlib import Path

import optuna
import pandas as pd
import pytest
from sweep_files import QUICK, Running, check_all_finished_once, check_runs_are_complete, write_files

from pppl import Experiment
from pppl.config import Sweep
from pppl.sweeping import status
from pppl.sweeping.storage import storage_at

_FEW, _MANY = pytest.param(30, True, id="stubs"), pytest.param(60, False, id="real", marks=pytest.mark.slow)


@pytest.mark.parametrize(("count", "stubs"), [_FEW, _MANY])
def test_trials_under_kills(tiny: Experiment, tmp_path: Path, tracked: None, count: int, stubs: bool):
    """Real trials are W&B runs, too, and none is lost or is there twice."""
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK, trials=count))
    running = Running(settings, tmp_path, stubs=stubs)

    def begin_again() -> None:
        running.kill()
        assert "dead" in status(settings, running.out)
        running.start()

    running.kill_workers(random.Random(0), count, begin_again)
    running.join()
    table = pd.read_csv(running.out / "trials.csv")
    assert table["state"].tolist() == ["complete"] * count
    study = optuna.load_study(study_name=settings.name, storage=storage_at("", running.out))
    check_all_finished_once(study, count)
    if not stubs:
        check_runs_are_complete(study, running.out)

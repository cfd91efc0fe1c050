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

TRIALS = 60


@pytest.mark.parametrize("stubs", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["stubs", "real"])
def test_sixty_trials_under_kills(tiny: Experiment, tmp_path: Path, tracked: None, stubs: bool):
    """Real trials are W&B runs, too, and none is lost or is there twice."""
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK, trials=TRIALS))
    running = Running(settings, tmp_path, stubs=stubs)

    def begin_again() -> None:
        running.kill()
        assert "dead" in status(settings, running.out)
        running.start()

    running.kill_workers(random.Random(0), begin_again)
    running.join()
    table = pd.read_csv(running.out / "trials.csv")
    assert table["state"].tolist() == ["complete"] * TRIALS
    study = optuna.load_study(study_name=settings.name, storage=storage_at("", running.out))
    check_all_finished_once(study, TRIALS)
    if not stubs:
        check_runs_are_complete(study, running.out)

"""Workers that are killed every moment, and the sweep itself: nothing is lost, nothing is done twice."""

import random
import time
from pathlib import Path

import optuna
import pandas as pd
from sweep_files import QUICK, Running, check_all_finished_once, check_runs_are_complete, write_files

from pppl import Experiment
from pppl.config import Sweep
from pppl.sweeping import status
from pppl.sweeping.storage import storage_at

TRIALS = 60


def test_sixty_trials_under_kills(tiny: Experiment, tmp_path: Path):
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK, trials=TRIALS))
    rng, kills, running = random.Random(0), 0, Running(settings, tmp_path)
    while kills < 8 and running.process.is_alive():
        time.sleep(rng.uniform(0.3, 1.2))
        kills += running.kill_a_worker(rng)
        if kills == 2:
            running.kill()
            assert "dead" in status(settings, running.out)
            running.start()
            kills += 1
    running.join()
    assert kills >= 3
    table = pd.read_csv(running.out / "trials.csv")
    assert table["state"].tolist() == ["complete"] * TRIALS
    study = optuna.load_study(study_name=settings.name, storage=storage_at("", running.out))
    check_all_finished_once(study, TRIALS)
    check_runs_are_complete(study, running.out)

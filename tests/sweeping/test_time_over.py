"""Sweeps that end after some hours."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pppl.comparison.load import open_experiment
from pppl.config import Sweep
from pppl.sweeping import status, sweep
from pppl.sweeping import supervisor as workers_module
from pppl.sweeping.space import base_of
from pppl.system.errors import UserError

pytestmark = pytest.mark.usefixtures("sketched")


def test_jobs_that_end_well_are_no_failure():
    """After time is over they do so without having finished a trial."""
    jobs = object.__new__(workers_module._Jobs)
    good, lost = (
        type("Job", (), {"done": lambda _: True, "exception": lambda _, e=e: e})() for e in (None, OSError("x"))
    )
    jobs._lost, jobs._done, jobs._count, jobs.work = 0, 0, 1, None  # type: ignore[assignment]
    for _ in range(3):
        jobs.running = [lost]
        jobs.check(0)
    jobs.running = [good, good]
    jobs.check(0)
    assert jobs.running == []


def test_a_sweep_that_runs_out_of_time_tells_what_is_finished_and_goes_on(
    folder: Path, settings: Sweep, monkeypatch: pytest.MonkeyPatch
):
    out, short = folder / "out", settings.replace(hours=1e-9)
    with pytest.raises(UserError, match="no trial was finished in 1e-09 hours: increase `hours`"):
        sweep(short, out, workers=2, beside=folder)
    with monkeypatch.context() as patch:
        patch.setattr(workers_module.Work, "over", property(lambda work: any((out / "trials").glob("*"))))
        base, _ = open_experiment(base_of(settings, folder))
        workers_module.work_on(workers_module.Work(settings=settings, base=base, folder=out, storage=""))
    first = sweep(short, out, workers=2, beside=folder)
    assert first["state"].tolist() == ["complete"], "what has begun is finished, and nothing else begins"
    assert "best of 1 trials" in (out / "best.yaml").read_text()
    assert json.loads((out / "run.json").read_text())["trials"] == 1
    assert status(settings, out).startswith("1 done, 0 pruned, 0 given up, 0 running, 0 dead, 4 waiting of 5 trials")
    whole = sweep(settings, out, workers=2, beside=folder)
    pd.testing.assert_frame_equal(whole.iloc[first["trial"].tolist()].drop(columns="best"), first.drop(columns="best"))
    assert whole["trial"].tolist() == list(range(5))
    with pytest.raises(UserError, match="hours is -1"):
        settings.replace(hours=-1)

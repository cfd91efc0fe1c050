"""A study in a real PostgreSQL: workers killed, the server stopped in the middle, another study in its place."""

import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import psycopg
import pytest
import sqlalchemy
from optuna.trial import TrialState
from postgres_server import Server
from sweep_files import QUICK, Running, check_all_finished_once, check_runs_are_complete, write_files

from pppl import Experiment
from pppl.cli.command import main
from pppl.config import Sweep
from pppl.sweeping import status, sweep
from pppl.sweeping import supervisor as workers_module
from pppl.sweeping.storage import storage_at
from pppl.system.errors import UserError

pytestmark = pytest.mark.usefixtures("sketched")

_FEW, _MANY = pytest.param(30, True, id="stubs"), pytest.param(60, False, id="real")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.remove()


@pytest.mark.slow  # `test_killed_sweeps.py` kills as many without a database
@pytest.mark.parametrize(("count", "stubs"), [_FEW, _MANY])
def test_trials_under_kills_and_without_the_server_for_a_while(
    tiny: Experiment, tmp_path: Path, server: Server, tracked: None, count: int, stubs: bool
):
    """Real trials are W&B runs, too, and none is lost or is there twice."""
    name = f"killed-{'stubs' if stubs else 'real'}"
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK, trials=count, name=name))
    running = Running(settings, tmp_path, server.url, stubs=stubs)

    def restart() -> None:
        server.stop()
        time.sleep(3)
        server.start()

    running.kill_workers(random.Random(0), count, restart)
    running.join()
    table = pd.read_csv(running.out / "trials.csv")
    assert table["state"].tolist() == ["complete"] * count
    study = optuna.load_study(study_name=name, storage=storage_at(server.url, running.out))
    check_all_finished_once(study, count)
    if not stubs:
        check_runs_are_complete(study, running.out)
    assert status(settings, running.out, storage=server.url).startswith(
        f"{count} done, 0 pruned, 0 given up, 0 running, 0 dead"
    )


@pytest.mark.slow
def test_two_machines_share_a_study(tiny: Experiment, tmp_path: Path, server: Server):
    tables = []
    url = server.new_database("shared")
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK, trials=8, name="shared"))
    machines = [Running(settings, _made(tmp_path / name, tiny), url, workers=1) for name in ("one", "other")]
    for machine in machines:
        machine.join()
        tables.append(pd.read_csv(machine.out / "trials.csv"))
    pd.testing.assert_frame_equal(*tables)
    assert len(tables[0]) == 8
    assert tables[0]["budget"].nunique() == 8, "no two draw the same"
    study = optuna.load_study(study_name="shared", storage=storage_at(url, tmp_path))
    workers = {trial.user_attrs["worker"] for trial in study.trials if "worker" in trial.user_attrs}
    assert len(workers) >= 2, "both took part"


def test_machines_can_begin_at_once_on_an_empty_database(tmp_path: Path, server: Server):
    with ThreadPoolExecutor(6) as pool:
        for name in ("a", "b"):
            url = server.new_database(name)
            assert all(pool.map(lambda _, url=url: storage_at(url, tmp_path), range(6)))


def test_a_connection_that_is_lost_while_trials_are_read_is_made_anew(tmp_path: Path, server: Server):
    storage = storage_at(server.new_database("lost"), tmp_path)
    study = optuna.create_study(storage=storage, study_name="lost")
    study.enqueue_trial({"x": 1.0})
    ended = []

    def end(connection: Any, _: Any, statement: str, *rest: Any) -> None:
        if "FROM trial_intermediate_values" in statement and not ended:
            ended.append(connection.connection.dbapi_connection.info.backend_pid)
            with psycopg.connect(server.url) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", ended)

    sqlalchemy.event.listen(storage.engine, "before_cursor_execute", end)
    assert [trial.state for trial in study.get_trials()] == [TrialState.WAITING]
    assert ended


def test_no_file_holds_the_password(
    tiny: Experiment,
    tmp_path: Path,
    server: Server,
    tracked: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    """W&B keeps the command line."""
    path, out = write_files(tmp_path, tiny, QUICK, trials=2, name="secret"), tmp_path / "out"
    url = server.url.replace("me@", "me:TopSecret@")
    command = ["sweep", str(path), "--workers", "2", "--storage", url, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["pppl", *command])
    monkeypatch.setenv("PGPASSWORD", "")  # and undone at the end
    assert main(command) == 0
    assert "TopSecret" not in "".join(capfd.readouterr())
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert any(each.suffix == ".wandb" for each in files)
    assert not [each for each in files if b"TopSecret" in each.read_bytes()]


def _made(folder: Path, tiny: Experiment) -> Path:
    folder.mkdir()
    write_files(folder, tiny, QUICK)
    return folder


def test_another_study_of_the_same_name_is_left_alone(tiny: Experiment, tmp_path: Path, server: Server):
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK, trials=1, name="taken"))
    sweep(settings, tmp_path / "out", beside=tmp_path, storage=server.url)
    other = settings.replace(budget=0.4, space={"ppp.target_rate": {"low": 0.1, "high": 0.9}})
    with pytest.raises(UserError, match="has a study 'taken' with different space, budget, base: give"):
        sweep(other, tmp_path / "other", beside=tmp_path, storage=server.url)
    assert status(settings, tmp_path / "out", storage=server.url).startswith("1 done")


def test_a_url_that_does_not_answer_is_told(
    tiny: Experiment, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
):
    path = write_files(tmp_path, tiny, QUICK, trials=1)
    url = f"postgresql://me:secret@127.0.0.1:{server.port}/nowhere"
    assert main(["sweep", str(path), "--storage", url, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert 'database "nowhere" does not exist' in line
    assert "secret" not in line
    assert not list((tmp_path / "out").glob("*.log"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me@127.0.0.1:9/x", "127.0.0.1:9/x does not answer .*refused"),
        (
            "sqlite:///study.db",
            "--storage has the scheme sqlite, but must be a postgresql:// URL; leave it out for a journal",
        ),
        ("somewhere", "--storage is not a URL: write postgresql://user@host/database"),
    ],
)
def test_a_wrong_url_is_told(tmp_path: Path, url: str, message: str):
    with pytest.raises(UserError, match=message):
        storage_at(url, tmp_path)


@pytest.mark.slow
def test_workers_can_be_jobs(tiny: Experiment, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch):
    """By submitit's executor for this machine, which does all that the one for Slurm does but `sbatch`."""

    class Local(workers_module._Jobs):
        def __init__(self, work: workers_module.Work):
            super().__init__(work, "local")

        def end(self) -> None:
            for job in self.running:
                job.wait()

    monkeypatch.setattr(workers_module, "_Jobs", Local)
    monkeypatch.setenv("PGPASSWORD", "")  # and undone at the end
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK, trials=4, name="jobs"))
    with pytest.raises(UserError, match="--launcher slurm needs --storage"):
        sweep(settings, tmp_path / "out", workers=2, beside=tmp_path, launcher="slurm")
    where = {"storage": server.url.replace("me@", "me:TopSecret@"), "launcher": "slurm"}
    trials = sweep(settings, tmp_path / "out", workers=2, beside=tmp_path, **where)
    assert trials["state"].tolist() == ["complete"] * 4
    jobs = tmp_path / "out" / "jobs"
    assert len(list(jobs.glob("*_0_log.err"))) == 2
    assert not [path for path in jobs.iterdir() if b"TopSecret" in path.read_bytes()]


def test_a_cluster_that_is_not_here_is_told(
    tiny: Experiment, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK, trials=1, name="cluster"))
    with pytest.raises(UserError, match=r"--launcher slurm: .*; start it where jobs can be submitted"):
        sweep(settings, tmp_path / "out", beside=tmp_path, storage=server.url, launcher="slurm")


def test_a_cluster_that_takes_no_job_now_is_asked_again(
    tiny: Experiment, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
):
    """By submitit's executor for Slurm, and an `sbatch` that refuses."""
    for name in ("srun", "sbatch"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\necho asked >> $PPPL_TEST_ASKED\necho 'Socket timed out' >&2\nexit 1\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PPPL_TEST_ASKED", str(tmp_path / "asked"))
    monkeypatch.setattr(workers_module, "_REFUSALS", 2)
    monkeypatch.setattr(workers_module, "_PAUSE", 0.1)
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK, trials=1, name="refused"))
    with pytest.raises(UserError, match=r"--launcher slurm: the cluster takes no jobs \(.*Socket timed out.*\)"):
        sweep(settings, tmp_path / "out", workers=1, beside=tmp_path, storage=server.url, launcher="slurm")
    assert (tmp_path / "asked").read_text().count("asked") == 3

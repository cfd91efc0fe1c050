"""Folders that cannot be written, and disks that fill up."""

import multiprocessing
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from sweep_files import QUICK, check_all_finished_once, write_files

from pppl import Experiment
from pppl.config import Sweep
from pppl.sweeping import sweep
from pppl.sweeping.storage import storage_at
from pppl.sweeping.supervisor import _Processes
from pppl.system.errors import UserError

pytestmark = pytest.mark.usefixtures("sketched")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "pppl", str(disk)], capture_output=True)
    if done.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_is_told_and_nothing_is_lost(
    tiny: Experiment, tmp_path: Path, small_disk: Path, workers: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK, trials=6))
    out = small_disk / "out"
    sweep(settings.replace(trials=2), out, workers=workers, beside=tmp_path)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 8192))  # enough is left to begin
    with pytest.raises(UserError, match=f"cannot write to {out}: no space left on device; finished trials are kept"):
        sweep(settings, out, workers=workers, beside=tmp_path)
    ballast.unlink()
    trials = sweep(settings, out, workers=workers, beside=tmp_path)
    assert trials["state"].tolist() == ["complete"] * 6
    check_all_finished_once(optuna.load_study(study_name=settings.name, storage=storage_at("", out)), 6)


def test_a_full_cache_is_told(tiny: Experiment, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("PPPL_CACHE", str(small_disk))
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free - 8192))
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK, trials=1))
    with pytest.raises(UserError, match=rf"{small_disk}/full-.*: No space left on device; .*PPPL_CACHE"):
        sweep(settings, tmp_path / "out", beside=tmp_path)
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_a_folder_that_cannot_be_written_is_told(tiny: Experiment, tmp_path: Path):
    settings = Sweep.load(write_files(tmp_path, tiny, QUICK))
    with pytest.raises(UserError, match=r"cannot write to /proc/out: .*; choose another folder"):
        sweep(settings, "/proc/out", beside=tmp_path)


def test_workers_that_never_begin_are_not_replaced_for_ever():
    """As where the system kills each while it imports."""
    dead = SimpleNamespace(is_alive=lambda: False, exitcode=-signal.SIGKILL)
    crew = object.__new__(_Processes)
    crew._lost = 0
    receive, send = multiprocessing.Pipe(duplex=False)
    send.send("")  # this one has begun
    send.close()
    crew.running = [(dead, receive)]
    crew.check(0)
    for _ in range(3):
        receive, send = multiprocessing.Pipe(duplex=False)
        send.close()
        crew.running = [(dead, receive)]
        crew.check(0)
    receive, send = multiprocessing.Pipe(duplex=False)
    send.close()
    crew.running = [(dead, receive)]
    with pytest.raises(UserError, match=r"SIGKILL.*memory.*fewer --workers"):
        crew.check(0)

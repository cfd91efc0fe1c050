"""Two processes write to one comparison and are killed again and again."""

import multiprocessing
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from stub_training import fit, train_nothing

from pppl import Experiment
from pppl.comparison import global_models as models
from pppl.comparison.compare import compare
from pppl.tables.journal import TIMED

pytestmark = pytest.mark.usefixtures("sketched")

KILLS, OF_STUBS = 20, 4
METHODS = ["full", "ppp", "ocap", "l1_local+finetune", "l1_local+retrain", "finetune"]


def _write(experiment: Experiment, out: Path, stubs: bool) -> None:
    os.environ |= {"PPPL_CACHE": str(out / "cache"), "WANDB_MODE": "disabled"}
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (as long as the process lives)
    if stubs:
        train_nothing()
    compare(experiment, out)


class Writers:
    """Two processes that write to a folder, of which any can be killed and begins again."""

    def __init__(self, *args: Any):
        self._args = args
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["pppl.comparison.compare", "stub_training"])
        self._running = [self._start(), self._start()]

    def _start(self) -> multiprocessing.process.BaseProcess:
        process = self._context.Process(target=_write, args=self._args)
        process.start()
        return process

    def kill(self, index: int) -> None:
        """Kills one, and starts another in its place."""
        self._running[index].kill()
        self._running[index].join()
        self._running[index] = self._start()

    def join(self) -> None:
        """Waits for their end, which must be a good one."""
        for writer in self._running:
            writer.join()
        assert [writer.exitcode for writer in self._running] == [0, 0]


def _check_same(out: Path, undisturbed: Path) -> None:
    tables = [pd.read_csv(folder / "table.csv.gz").drop(columns=TIMED) for folder in (out, undisturbed)]
    pd.testing.assert_frame_equal(*tables)
    for name in ("summary.csv", "curves.csv", "gains.csv", "gates.csv", "effort.csv", "run.json"):
        assert (out / name).exists()
    assert (out / "journal.jsonl").read_text().count("\n") >= len(tables[0])


def _progress(out: Path) -> int:
    """How much is finished: networks and lines of the journal."""
    journal = out / "journal.jsonl"
    lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
    return len([*(out / "cache").glob("*.safetensors")]) + lines


def test_after_four_kills_of_stubs_the_table_is_that_of_an_undisturbed_run(
    tiny: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each a moment after something has been finished, so that all of them come while there is something to compute."""
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "fit", fit)
    methods = ["full", "ppp", "l1_local+retrain"]
    experiment = tiny.replace(methods=methods, seeds=[0, 1], **{"persons.count": 12, "retrain.epochs": 1})
    compare(experiment, tmp_path / "undisturbed")
    rng, out = random.Random(0), tmp_path / "killed"
    writers = Writers(experiment, out, True)
    for kills in range(OF_STUBS):
        before = _progress(out)
        while _progress(out) == before:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        assert not (out / "table.csv.gz").exists(), f"finished after {kills} kills"
        writers.kill(rng.randrange(2))
    writers.join()
    _check_same(out, tmp_path / "undisturbed")


@pytest.mark.slow
def test_after_twenty_kills_the_table_is_that_of_an_undisturbed_run(
    tiny: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """All of the kills while there is something to compute: networks, what is retrained for everybody, and persons."""
    monkeypatch.setenv("PPPL_CACHE", str(tmp_path / "cache"))
    slow = {"finetune.steps": 60, "finetune.pruned_steps": 60, "retrain.epochs": 1}
    experiment = tiny.replace(methods=METHODS, seeds=[0, 1], **{"persons.count": 12, "persons.classes": [2, 3], **slow})
    begin = time.monotonic()
    compare(experiment, tmp_path / "undisturbed")
    longest = (time.monotonic() - begin) / (2 * KILLS)  # two writers need half of that time, if nobody is killed
    rng, out = random.Random(0), tmp_path / "killed"
    writers = Writers(experiment, out, False)
    for kills in range(KILLS):
        time.sleep(rng.uniform(0.02, longest))
        assert not (out / "table.csv.gz").exists(), f"finished after {kills} kills"
        writers.kill(rng.randrange(2))
    writers.join()
    _check_same(out, tmp_path / "undisturbed")

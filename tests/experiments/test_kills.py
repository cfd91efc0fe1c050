"""Two processes write to one comparison and are killed again and again."""

import multiprocessing
import os
import random
import sys
import time
from pathlib import Path

import pandas as pd

from pppl import Experiment
from pppl.experiments.compare import compare
from pppl.experiments.results import TIMED

KILLS = 20


def _write(experiment: Experiment, out: Path) -> None:
    os.environ |= {"WANDB_MODE": "disabled", "PPPL_CACHE": str(out / "cache")}
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (as long as the process lives)
    compare(experiment, out)


def test_after_twenty_kills_the_table_is_that_of_an_undisturbed_run(tiny: Experiment, tmp_path: Path):
    """All of the kills while there is something to compute: networks, what is retrained for everybody, and persons."""
    slow = {"finetune.steps": 60, "finetune.pruned_steps": 60}
    methods = ["full", "ppp", "ocap", "l1_local+finetune", "l1_local+retrain", "finetune"]
    changes = {"persons.count": 12, "persons.classes": [2, 3], "seeds": [0, 1], "retrain.epochs": 1}
    experiment = tiny.replace(methods=methods, **slow, **changes)
    begin = time.monotonic()
    compare(experiment, tmp_path / "undisturbed")
    longest = (time.monotonic() - begin) / (2 * KILLS)  # two writers need half of that time, if nobody is killed
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pppl.experiments.compare"])
    rng, out, journal = random.Random(0), tmp_path / "killed", tmp_path / "killed" / "journal.jsonl"

    def start() -> multiprocessing.process.BaseProcess:
        process = context.Process(target=_write, args=(experiment, out))
        process.start()
        return process

    writers, kills = [start(), start()], 0
    while kills < KILLS:
        time.sleep(rng.uniform(0.02, longest))
        index = rng.randrange(2)
        assert not (out / "table.csv").exists(), f"finished after {kills} kills"
        writers[index].kill()
        kills += 1
        writers[index].join()
        writers[index] = start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    tables = [pd.read_csv(folder / "table.csv").drop(columns=TIMED) for folder in (out, tmp_path / "undisturbed")]
    pd.testing.assert_frame_equal(*tables)
    for name in ("summary.csv", "curves.csv", "gains.csv", "gates.csv", "effort.csv", "run.json"):
        assert (out / name).exists()
    assert journal.read_text().count("\n") >= len(tables[0])

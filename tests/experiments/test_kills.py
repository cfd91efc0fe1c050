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
    os.environ["WANDB_MODE"] = "disabled"
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (as long as the process lives)
    compare(experiment, out)


def test_after_twenty_kills_the_table_is_that_of_an_undisturbed_run(tiny: Experiment, tmp_path: Path):
    slow = {"finetune.steps": 60, "finetune.pruned_steps": 60}
    experiment = tiny.replace(**slow, **{"persons.count": 8, "persons.classes": [2, 3], "seeds": [0]})
    begin = time.monotonic()
    compare(experiment, tmp_path / "undisturbed")  # trains the networks, too
    longest = (time.monotonic() - begin) / 12
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pppl.experiments.compare"])
    rng, out, journal = random.Random(0), tmp_path / "killed", tmp_path / "killed" / "journal.jsonl"

    def start() -> multiprocessing.process.BaseProcess:
        process = context.Process(target=_write, args=(experiment, out))
        process.start()
        return process

    writers, kills, while_writing = [start(), start()], 0, 0
    while kills < KILLS:
        time.sleep(rng.uniform(0.02, longest))
        index = rng.randrange(2)
        if writers[index].is_alive():
            while_writing += not (out / "table.csv").exists()
            writers[index].kill()
            kills += 1
        writers[index].join()
        writers[index] = start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert while_writing > KILLS / 4
    tables = [pd.read_csv(folder / "table.csv").drop(columns=TIMED) for folder in (out, tmp_path / "undisturbed")]
    pd.testing.assert_frame_equal(*tables)
    for name in ("summary.csv", "curves.csv", "gains.csv", "gates.csv", "effort.csv", "run.json"):
        assert (out / name).exists()
    assert journal.read_text().count("\n") >= len(tables[0])

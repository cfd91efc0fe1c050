"""A sweep whose trials take a moment, run in a process of its own that tests kill."""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import TrialState
from stub_training import fork_with_more, try_nothing
from wandb_files import read_offline_run

from pppl import Experiment
from pppl.config import Sweep
from pppl.sweeping import sweep
from pppl.sweeping.life import WORKER
from pppl.sweeping.queue import RUN, SLOT

# Its networks are trained once: a trial is no more than persons at another budget.
QUICK: dict[str, Any] = {"budget": {"low": 0.3, "high": 0.9}}


def write_files(folder: Path, tiny: Experiment, space: dict[str, Any], **changes: Any) -> Path:
    """An experiment file and a sweep's; returns the latter's path."""
    tree = tiny.replace(**{"training.epochs": 1, "persons.classes": [2]}).to_dict()
    (folder / "base.yaml").write_text(yaml.safe_dump(tree))
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"base": "base.yaml", "space": space, "budget": 0.5, "trials": 5} | changes))
    return path


class Running:
    """A sweep in a process of its own, which can be killed and goes on; its trials may be `stubs`."""

    def __init__(self, settings: Sweep, folder: Path, storage: str = "", *, workers: int = 2, stubs: bool = False):
        self.out = folder / "out"
        self._args = (settings, folder, storage, workers, stubs, dict(os.environ))  # not that of the server's start
        self._context: Any = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["pppl.sweeping", "stub_training"])
        self.start()

    def start(self) -> None:
        """Begins, or goes on."""
        self.process = self._context.Process(target=_sweep, args=self._args)
        self.process.start()

    def kill(self) -> None:
        """Kills the sweep itself, with which its workers end."""
        self.process.kill()
        self.process.join()

    def workers(self) -> list[int]:
        """Process numbers of workers that are alive."""
        pids = [path.read_text().strip() for path in (self.out / "workers").glob("*")]
        return [int(pid) for pid in pids if pid and Path("/proc", pid).exists()]

    def kill_workers(self, rng: random.Random, trials: int, between: Callable[[], None]) -> None:
        """Kills a random worker eight times, at a random moment after every tenth of the trials that has begun.

        So it has 48 of 60 trials behind it at the last, however fast the machine is. `between` is called after four.
        """
        for kills in range(1, 9):
            while len(list((self.out / "trials").glob("*"))) < trials // 10 * kills:
                self._wait()
            time.sleep(rng.uniform(0, 0.3))
            while not (alive := self.workers()):  # one that ended by itself has not been replaced yet
                self._wait()
            os.kill(rng.choice(alive), signal.SIGKILL)
            if kills == 4:
                between()

    def _wait(self) -> None:
        assert self.process.is_alive(), "the sweep has ended"
        time.sleep(0.02)

    def join(self) -> None:
        """Waits for its end, which must be a good one."""
        self.process.join()
        assert self.process.exitcode == 0, (self.out.parent / "stderr.txt").read_text()


def _sweep(
    settings: Sweep, folder: Path, storage: str, workers: int, stubs: bool, variables: Mapping[str, str]
) -> None:
    os.environ.update(variables)
    fork_with_more()
    sys.stderr = (folder / "stderr.txt").open("a")
    if stubs:
        try_nothing()
    sweep(settings, folder / "out", workers=workers, beside=folder, storage=storage)


def check_all_finished_once(study: optuna.Study, count: int) -> None:
    """Each slot has one trial that is complete, with the values that its tries before had drawn."""
    done = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert sorted(trial.user_attrs[SLOT] for trial in done) == list(range(count)), "none twice, none lost"
    of = {trial.user_attrs[SLOT]: trial for trial in done}
    for trial in study.trials:
        if trial.state == TrialState.FAIL and SLOT in trial.user_attrs:
            assert trial.params.items() <= of[trial.user_attrs[SLOT]].params.items(), "it starts again with the same"


def check_runs_are_complete(study: optuna.Study, out: Path) -> None:
    """Each trial has a W&B run with an exit record, under the id that the trial was given.

    A worker that is killed after the run's end and before the trial's leaves a run that ends again in the next try.
    """
    ended: Counter[str] = Counter()
    until = time.monotonic() + 60
    ids = {trial.user_attrs[RUN] for trial in study.trials if trial.state == TrialState.COMPLETE}
    begun = Counter(trial.user_attrs[RUN] for trial in study.trials if WORKER in trial.user_attrs)
    while not ids <= ended.keys():
        assert time.monotonic() < until, f"{len(ids - ended.keys())} runs have no end"
        ended = Counter(_id for path in (out / "wandb").glob("offline-run-*/*.wandb") if (_id := _ended(path)))
    assert all(ended[name] <= begun[name] for name in ids), "no try has two runs"


def _ended(path: Path) -> str:
    """The id of a run that was finished, and not failed."""
    records = list(read_offline_run(path))
    exits = [record.exit.exit_code for record in records if record.WhichOneof("record_type") == "exit"]
    if exits != [0]:
        return ""
    return next(record.run.run_id for record in records if record.WhichOneof("record_type") == "run")

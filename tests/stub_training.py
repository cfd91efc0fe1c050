"""Stubs of training, trials and drawing that take milliseconds, for tests of journals, queues and kills.

These tests check what is written to disk, for which real trainings would add only time. Tests marked `slow` do the same
with real ones.
"""

import io
import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from optuna.trial import TrialState
from PIL import Image

import pppl.figures
from pppl.comparison import global_models as models
from pppl.config import Experiment, Sweep
from pppl.sweeping import life, trial_tables
from pppl.sweeping import supervisor as workers
from pppl.sweeping.space import suggest
from pppl.tables.provenance import fingerprint
from pppl.training import GlobalModule

_FORKED = ("pppl.comparison.compare", "pppl.comparison.task_memory", "pppl.sweeping", "stub_training", "wandb")


def fit(
    make_module: Callable[[], GlobalModule], _: Any, *, seed: int, folder: Path, **__: Any
) -> tuple[GlobalModule, dict[str, float]]:
    """Replace `pppl.training.fit`: return the initial weights of a seed, and invented metrics."""
    torch.manual_seed(seed)
    metrics = {"epoch": 0.0, "val_loss": 1.0, "val_accuracy": 0.5}
    (folder / "metrics.csv").write_text(f"{','.join(metrics)}\n{','.join(map(str, metrics.values()))}\n")
    return make_module().cpu().eval(), metrics


def train_nothing() -> None:
    """Make this process train by `fit` above and draw no figures from now on."""
    models.fit = fit
    _draw_nothing(setattr)


def run_trial(trial: optuna.Trial, sweep: Sweep, base: Experiment, folder: Path) -> tuple[TrialState, list[float]]:
    """Replace `pppl.sweeping.trial.run_trial`: draw the values, create a folder and wait for a moment."""
    values = suggest(trial, sweep.space)
    (folder / "trials" / fingerprint(values)).mkdir(parents=True, exist_ok=True)
    time.sleep(random.uniform(0.0, 0.1))
    measured = {"score": values["budget"] / 2, "score_low": 0.0, "score_high": 1.0}
    for name, value in (measured | {"own_minus_other": 0.0, "macs_fraction": values["budget"]}).items():
        trial.set_user_attr(name, value)
    return TrialState.COMPLETE, [measured[name] for name in sweep.objectives]


def try_nothing() -> None:
    """Make this process and the workers that it forks run stub trials and draw no figures from now on.

    Workers are forked directly: a fork server would need ten seconds for its imports after each kill of the sweep.
    Heartbeats are frequent: the trial of a worker that is killed before it writes its name waits for one.
    """
    workers.run_trial, life.BEAT = run_trial, 2.0
    trial_tables.baselines = lambda *_: pd.DataFrame()
    workers.worker_context = lambda _: multiprocessing.get_context("fork")
    _draw_nothing(setattr)


def fork_with_more() -> None:
    """Make fork servers preload the modules that each worker would otherwise import for itself."""
    preload = forkserver.set_forkserver_preload
    forkserver.set_forkserver_preload = lambda names: preload([*names, *_FORKED])


@contextmanager
def sketching() -> Iterator[None]:
    """Skip the drawing of figures while the context is open, since it takes longer than a tiny comparison."""
    with pytest.MonkeyPatch.context() as patch:
        _draw_nothing(patch.setattr)
        yield


def _draw_nothing(put: Callable[[Any, str, Any], None]) -> None:
    """Put blank figures in place of those of a comparison, and blank files in place of theirs."""
    put(Figure, "savefig", _sketch)
    render = sys.modules[pppl.figures.render.__module__]
    for name in [each for each in vars(render) if each.endswith("_figure")]:
        put(render, name, lambda *_, **__: Figure())


def _sketch(_: Figure, path: Path | str, **__: Any) -> None:
    blank = io.BytesIO(b"%PDF-1.4\n")
    if Path(path).suffix != ".pdf":
        Image.new("L", (1, 1)).save(blank, "PNG")
    Path(path).write_bytes(blank.getvalue())

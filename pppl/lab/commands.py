"""Comparisons and sweeps with their figures, for notebooks and the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning.utilities.seed import isolate_rng

from ..comparison import merge as merging
from ..comparison.compare import compare as run_comparison
from ..config import Experiment, Sweep, TextExperiment
from ..figures import render, rendered
from ..report.results_frame import ResultsFrame
from ..system.files import claim, expand


def compare(experiment: Experiment, out: str | Path | None = None, *, workers: int = 1) -> ResultsFrame:
    """Run an experiment and return its summary, a data frame that shows intervals.

    Rows that an earlier call with the same configuration finished are not computed again.

    **Arguments:**

    - `out`: the results folder, which receives tables, `run.json` and figures; `results/<name>` by default.
    - `workers`: the number of worker processes that share networks and persons, with one thread each.

    Raise `UserError` for an unknown data set, backbone or method, a budget that is too small, or a folder that cannot
    be written to.

    ```python
    summary = compare(Experiment.load("sweeps/compare/digits.yaml", fast=True), workers=2)
    ```
    """
    folder = _ready(out, experiment.name)
    with isolate_rng():  # the random numbers of a notebook do not depend on this call
        return ResultsFrame(run_comparison(experiment, folder, workers=workers, draw=render))


def compare_tasks(experiment: TextExperiment, out: str | Path | None = None, *, workers: int = 1) -> ResultsFrame:
    """Run a comparison on text tasks and return its summary, a data frame that shows intervals.

    Arguments and errors are those of `compare`.

    ```python
    summary = compare_tasks(TextExperiment.load("sweeps/tasks/minilm.yaml", fast=True))
    ```
    """
    folder = _ready(out, experiment.name)
    with isolate_rng():
        return ResultsFrame(run_comparison(experiment, folder, workers=workers, draw=render))


def merge(folders: Sequence[str | Path], out: str | Path) -> ResultsFrame:
    """Join results folders of one experiment, draw the figures, and return the summary.

    Raise `UserError` if the folders do not belong together, as `pppl.comparison.merge.merge` does.

    ```python
    summary = merge(["results/digits-a", "results/digits-b"], out="results/digits")
    ```
    """
    return ResultsFrame(merging.merge(folders, _ready(out, ""), draw=render))


def sweep(settings: Sweep, out: str | Path | None = None, **options: Any) -> pd.DataFrame:
    """Run a sweep, draw its figures, and return `trials.csv`.

    **Arguments:**

    - `out`: the results folder; `results/<name>` by default.
    - `options`: those of `pppl.sweeping.sweep`.

    ```python
    trials = sweep(Sweep.load("sweeps/tune/digits_ppp.yaml"), workers=2, beside=Path("sweeps/tune"))
    ```
    """
    from ..sweeping import sweep as run_sweep

    return run_sweep(settings, _ready(out, settings.name), draw=render, **options)


def _ready(out: str | Path | None, name: str) -> Path:
    """Return the results folder. Raise `UserError` if somebody else's file is in the way of a figure."""
    folder = Path("results") / name if out is None else expand(out)
    claim(rendered(folder))
    return folder

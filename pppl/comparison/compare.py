"""The entry point of all comparisons: methods on the same people, or ways to adapt on the same text tasks."""

from pathlib import Path

import pandas as pd

from ..config import Experiment, TextExperiment
from ..tables.derived import Draw, draw_nothing
from .person_plan import PersonPlan
from .plan import run_plan
from .task_plan import TaskPlan


def compare(
    experiment: Experiment | TextExperiment,
    out: str | Path | None = None,
    *,
    workers: int = 1,
    draw: Draw = draw_nothing,
) -> pd.DataFrame:
    """Run an experiment and return its summary; `out` receives tables, `run.json` and the figures of `draw`.

    Rows that an earlier call with the same configuration finished are not computed again.

    ```python
    compare(Experiment.load("sweeps/compare/digits.yaml"), "results/digits", workers=4)
    ```

    **Arguments:**

    - `out`: the results folder; `results/<name>` by default.
    - `workers`: the number of worker processes that share networks and persons, or runs, with one thread each. With 1
      everything happens in this process.
    - `draw`: the function that draws figures from the folder's tables.

    Raise `UserError` for an unknown data set, task, backbone or method, a budget that is too small, an encoder that
    cannot be loaded, or a folder that cannot be written to.
    """
    folder = out if out is not None else Path("results") / experiment.name
    if isinstance(experiment, TextExperiment):
        return run_plan(TaskPlan(experiment, folder, report=True), workers=workers, draw=draw)
    return run_plan(PersonPlan(experiment, folder, report=True), workers=workers, draw=draw)

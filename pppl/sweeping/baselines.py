"""Baselines of a sweep's best trial: what its method has to beat, on the same persons within the same budget."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning.utilities.seed import isolate_rng

from ..comparison.load import load_split
from ..comparison.person_plan import PersonPlan
from ..config import Experiment
from ..personalizers import make_own_personalizer
from ..system.errors import UserError
from ..system.processes import Workers
from ..system.tracking import notice
from ..tables.summary import summarize
from ..tasks import task_of
from ..training.gate_settings import PPPSettings
from .space import trial_name, with_values

_WHOLE = ("full", "full+classes")
_PRUNED = ("l1_local", "l1_local+retrain", "l1_local+retrain+classes")
_ONE_MASK = "person_training.gate_input"


def with_baselines(experiment: Experiment) -> Experiment:
    """Return an experiment on one method with the free baselines beside it, and the method as their reference.

    These are the full network and L1 with retraining for everybody, each also corrected for the person's classes. Gates
    that are trained for a person at a time are compared with such gates that give everybody one mask.

    ```python
    with_baselines(Experiment(methods=("ppp",))).methods  # ("full", "full+classes", "l1_local", ..., "ppp")
    ```
    """
    (method,) = experiment.methods
    names = [*_WHOLE, *(_PRUNED if min(experiment.budgets) < 1 else ())]
    names = [name for name in names if name != method]
    settings: dict[str, Any] = {}
    if method in ("ppp", "gated") and experiment[PPPSettings].training == "persons":
        names.append(f"{method}@nothing")
        settings = {names[-1]: {_ONE_MASK: "nothing"}}
    return experiment.replace(methods=[*names, method], settings=settings, reference=method)


def without_unmet(experiment: Experiment) -> Experiment:
    """Return an experiment without the methods that need what the task of its data does not offer."""
    task = task_of(load_split(experiment, experiment.seeds[0]))
    fitting = [name for name in experiment.methods if not make_own_personalizer(experiment, name).unmet_needs(task)]
    return experiment.replace(methods=fitting)


def baselines(base: Experiment, values: Mapping[str, Any], folder: Path) -> pd.DataFrame:
    """Return the scores of the best trial, its controls and its baselines on the sweep's validation persons.

    Rows of the trial that this folder has are not computed again. The table is empty, with a notice, if some baseline
    cannot be measured.

    ```python
    baselines(base, {"ppp.target_rate": 0.3}, Path("results/digits_ppp"))  # rows as in summary.csv
    ```

    **Arguments:**

    - `base`: the experiment that trials change.
    - `values`: the values of the best trial, by dotted key.
    - `folder`: the results folder of the sweep.
    """
    silent = {"tracking.mode": "disabled", "tracking.loggers": []}  # these runs belong to no trial
    try:
        experiment = without_unmet(with_baselines(with_values(base, values))).replace(**silent)
        with isolate_rng(), Workers(1) as pool:
            table = PersonPlan(experiment, folder / "trials" / trial_name(values)).computed(pool)
    except UserError as error:
        notice(f"the best trial is not compared with baselines ({error})")
        return pd.DataFrame()
    return summarize(table, experiment.reference)

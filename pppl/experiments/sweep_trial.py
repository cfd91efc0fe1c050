"""One trial of a sweep: networks and validation persons with the settings that a sampler has taken."""

from pathlib import Path

import numpy as np
import optuna
import pandas as pd

from ..config import CONSTRAINTS, Experiment, Sweep
from .compare import Plan
from .provenance import fingerprint
from .sweep_space import suggested
from .workers import Workers


def run_trial(trial: optuna.Trial, sweep: Sweep, base: Experiment, folder: Path) -> float:
    """Mean accuracy on validation persons with the own samples, at the sweep's budget.

    What an earlier try of the same values has finished is not computed again.
    """
    values = suggested(trial, sweep.space)
    plan = Plan.of(base.replace(**values), folder / "trials" / fingerprint(values))
    with Workers(1) as pool:
        table = plan.computed(pool)
    measured = measure(table)
    for name, value in measured.items():
        trial.set_user_attr(name, value)
    for name, bound in sweep.constraints.items():
        over = measured[name] - bound
        trial.set_constraint(name, -over if CONSTRAINTS[name] == "least" else over)
    return measured["accuracy"]


def measure(table: pd.DataFrame) -> dict[str, float]:
    """`accuracy` with the own samples, `own_minus_other` (0 where a method has no such control) and `macs_fraction`."""
    rows = [row for row in table.to_dict("records") if row["control"] in ("", "own", "other")]

    def mean(name: str, controls: tuple[str, ...]) -> float:
        return float(np.mean([row[name] for row in rows if row["control"] in controls]))

    accuracy = mean("accuracy", ("", "own"))
    other = mean("accuracy", ("other",)) if any(row["control"] == "other" for row in rows) else accuracy
    macs = mean("macs_fraction", ("", "own"))
    return {"accuracy": accuracy, "own_minus_other": accuracy - other, "macs_fraction": macs}

"""Checks that the tables of a sweep are complete and follow from its trials."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from ..config import MEASURES, Experiment, Sweep
from ..system.errors import UserError
from ..tables.agreement import TOLERANCE
from ..tables.schema import load_frame, settings_of
from .importances import COLUMNS, importances
from .study import quiet_optuna

_STATES = {"complete", "pruned", "given up", "fail"}
_NUMBERS = ("importance", "trials")  # interval ends are not compared: they depend on the order of the trials
_MEASURED = ["trial", "state", "score", "own_minus_other", "macs_fraction", "feasible", "best"]


def check_trials(settings: Sweep, folder: Path, done: int) -> Iterator[str]:
    """Yield the faults of a sweep's folder, one line each.

    ```python
    list(check_trials(Sweep.load("sweeps/tune/digits_ppp.yaml"), Path("results/digits_ppp"), done=100))  # []
    ```

    **Arguments:**

    - `done`: the number of finished trials according to `run.json`.
    """
    trials = load_frame(folder / "trials.csv")
    if lacking := [name for name in (*_MEASURED, *settings.space) if name not in trials.columns]:
        yield f"trials.csv lacks column {lacking[0]}"
        return
    faults = [*_count_faults(trials, done), *_mark_faults(settings, trials)]
    yield from (*faults, *_best_file_faults(folder, trials))
    if done < settings.trials and not settings.hours:
        yield f"{done} of {settings.trials} trials are finished: run `pppl sweep` with the same --out to resume"
    if not faults:  # importances of faulty trials would differ anyway
        with quiet_optuna():
            yield from _importance_faults(settings, folder, trials)


def _count_faults(trials: pd.DataFrame, done: int) -> Iterator[str]:
    """Check that every trial is listed exactly once."""
    if len(trials) != done:
        yield f"trials.csv has {len(trials)} trials, but run.json says {done}"
    if trials["trial"].duplicated().to_numpy().any():
        yield "trials.csv lists some trial twice"
    if strange := set(trials["state"]) - _STATES:
        yield f"trials.csv has a trial with the unknown state {min(map(str, strange))!r}"


def _mark_faults(settings: Sweep, trials: pd.DataFrame) -> Iterator[str]:
    """Check which trials are marked feasible, best and Pareto-optimal."""
    complete, feasible, best = (_flags(trials, name) for name in ("state", "feasible", "best"))
    keeps = complete.copy()
    for name, bound in settings.constraints.items():
        keeps &= _upwards(trials, name) >= bound * _SIGNS[MEASURES[name]] - TOLERANCE
    if not np.array_equal(feasible, keeps):
        yield "trials.csv: column feasible does not follow from the constraints"
    values = np.stack([_upwards(trials, name) for name in settings.objectives], 1)  # (T, objectives)
    candidates = keeps if keeps.any() else complete
    if best.sum() != complete.any() or (best & ~candidates).any():
        yield "trials.csv must mark exactly one trial as best, a feasible one if there is any"
    elif best.any() and values[best, 0][0] < values[candidates, 0].max():
        yield "trials.csv: the trial marked as best does not have the best value"
    if "pareto" in trials.columns:
        others, own = values[None, keeps], values[:, None]
        beaten = np.any(np.all(others >= own, axis=2) & np.any(others > own, axis=2), axis=1)
        if not np.array_equal(_flags(trials, "pareto"), keeps & ~beaten):
            yield "trials.csv: column pareto does not follow from the objectives"


_SIGNS = {"maximize": 1, "minimize": -1}


def _flags(trials: pd.DataFrame, name: str) -> np.ndarray:
    values = trials[name].to_numpy()
    return values == "complete" if name == "state" else values.astype(bool)


def _upwards(trials: pd.DataFrame, name: str) -> np.ndarray:
    """Return a measure with its sign turned so that more is better, `(T,)`."""
    return trials[name].to_numpy(float) * _SIGNS[MEASURES[name]]


def _best_file_faults(folder: Path, trials: pd.DataFrame) -> Iterator[str]:
    best = [row for row in trials.to_dict("records") if row["best"]]
    if not best:
        return
    try:
        experiment = Experiment.load(folder / "best.yaml")
    except UserError as error:
        yield f"best.yaml: {error}"
        return
    tree = experiment.to_dict()
    keys = settings_of(trials.columns)
    other = [key for key in keys if not pd.isna(best[0][key]) and not _same(_value(tree, key), best[0][key])]
    if other:
        yield f"best.yaml: {other[0]} differs from its value in the best trial"


def _value(tree: Mapping[str, Any], key: str) -> Any:
    if key == "budget":
        return tree["budgets"][0]
    value: Any = tree
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _same(one: Any, other: Any) -> bool:
    numbers = all(isinstance(each, (int, float, np.number)) and not isinstance(each, bool) for each in (one, other))
    return bool(np.isclose(one, other, rtol=TOLERANCE, atol=0)) if numbers else str(one) == str(other)


def _importance_faults(settings: Sweep, folder: Path, trials: pd.DataFrame) -> Iterator[str]:
    """Check the importances against those computed from `trials.csv`."""
    path, rows = folder / "importances.csv", [row for row in trials.to_dict("records") if row["state"] == "complete"]
    expected = importances(settings, [_frozen(settings, row) for row in rows])
    if not path.exists():
        if len(expected):
            yield "importances.csv is missing"
        return
    kept = load_frame(path)
    same = [*kept.columns] == COLUMNS and [*kept["key"]] == [*expected["key"]]
    if not same or not all(np.allclose(kept[name], expected[name].astype(float), atol=TOLERANCE) for name in _NUMBERS):
        yield "importances.csv does not follow from trials.csv"


def _frozen(settings: Sweep, row: Mapping[Any, Any]) -> FrozenTrial:
    params = {key: row[key] for key in settings.space if not pd.isna(row[key])}
    spaces = {key: _distribution(settings.space[key]) for key in params}
    typed = {key: _typed(value, spaces[key]) for key, value in params.items()}
    values = [row[name] for name in settings.objectives]
    return optuna.create_trial(params=typed, distributions=spaces, values=values)


def _distribution(tried: Mapping[str, Any]) -> BaseDistribution:
    if "choices" in tried:
        return CategoricalDistribution(tried["choices"])
    more = {name: tried[name] for name in ("log", "step") if name in tried}
    whole = all(isinstance(tried[end], int) for end in ("low", "high"))
    return (IntDistribution if whole else FloatDistribution)(tried["low"], tried["high"], **more)


def _typed(value: Any, space: BaseDistribution) -> Any:
    """Return a table's value as the space has it; tables keep only the text of a choice."""
    if isinstance(space, CategoricalDistribution):
        return next((each for each in space.choices if _same(each, value)), space.choices[0])
    return int(value) if isinstance(space, IntDistribution) else float(value)

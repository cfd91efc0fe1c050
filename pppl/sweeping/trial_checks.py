"""Whether the tables of a sweep are whole, and follow from its trials."""

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

from ..comparison.result_kinds import read_csv
from ..config import MEASURES, Experiment, Sweep
from ..system.errors import UserError
from ..tables.agreement import TOLERANCE
from ..tables.schema import settings_of
from .importances import COLUMNS, importances
from .study import quiet_optuna

_STATES = {"complete", "pruned", "given up", "fail"}
_NUMBERS = ("importance", "trials")  # ends of intervals hang on the order in which trials were asked for
_MEASURED = ["trial", "state", "accuracy", "own_minus_other", "macs_fraction", "feasible", "best"]


def check_trials(settings: Sweep, folder: Path, done: int) -> Iterator[str]:
    """What is wrong with a sweep's folder, one line each.

    **Arguments:**

    - `done`: how many trials its `run.json` tells of.
    """
    trials = read_csv(folder / "trials.csv")
    if lacking := [name for name in (*_MEASURED, *settings.space) if name not in trials.columns]:
        yield f"trials.csv lacks column {lacking[0]}"
        return
    faults = [*_trials(trials, done), *_marks(settings, trials)]
    yield from (*faults, *_best_file(folder, trials))
    if done < settings.trials and not settings.hours:
        yield f"{done} of {settings.trials} trials are finished: `pppl sweep` with the same --out goes on"
    if not faults:  # of other trials, other settings matter
        with quiet_optuna():
            yield from _shares(settings, folder, trials)


def _trials(trials: pd.DataFrame, done: int) -> Iterator[str]:
    """Whether they are all there, once each."""
    if len(trials) != done:
        yield f"trials.csv has {len(trials)} trials, run.json tells of {done}"
    if trials["trial"].duplicated().to_numpy().any():
        yield "trials.csv has trials twice"
    if strange := set(trials["state"]) - _STATES:
        yield f"trials.csv has trials whose state is {min(map(str, strange))!r}"


def _marks(settings: Sweep, trials: pd.DataFrame) -> Iterator[str]:
    """Which trials are feasible, best, and of the front."""
    complete, feasible, best = (_flags(trials, name) for name in ("state", "feasible", "best"))
    keeps = complete.copy()
    for name, bound in settings.constraints.items():
        keeps &= _upwards(trials, name) >= bound * _SIGNS[MEASURES[name]] - TOLERANCE
    if not np.array_equal(feasible, keeps):
        yield "trials.csv: what is feasible does not follow from the constraints"
    values = np.stack([_upwards(trials, name) for name in settings.objectives], 1)  # (T, objectives)
    candidates = keeps if keeps.any() else complete
    if best.sum() != complete.any() or (best & ~candidates).any():
        yield "trials.csv: there is not one best trial among those that may be"
    elif best.any() and values[best, 0][0] < values[candidates, 0].max():
        yield "trials.csv: the best trial has not the best value"
    if "pareto" in trials.columns:
        others, each = values[None, keeps], values[:, None]
        beaten = np.any(np.all(others >= each, axis=2) & np.any(others > each, axis=2), axis=1)
        if not np.array_equal(_flags(trials, "pareto"), keeps & ~beaten):
            yield "trials.csv: the front does not follow from the objectives"


_SIGNS = {"maximize": 1, "minimize": -1}


def _flags(trials: pd.DataFrame, name: str) -> np.ndarray:
    values = trials[name].to_numpy()
    return values == "complete" if name == "state" else values.astype(bool)


def _upwards(trials: pd.DataFrame, name: str) -> np.ndarray:
    """What was measured, turned so that more is better."""
    return trials[name].to_numpy(float) * _SIGNS[MEASURES[name]]


def _best_file(folder: Path, trials: pd.DataFrame) -> Iterator[str]:
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
        yield f"best.yaml: {other[0]} is not that of the best trial"


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


def _shares(settings: Sweep, folder: Path, trials: pd.DataFrame) -> Iterator[str]:
    """Importances of settings, by what the table keeps of the trials."""
    path, rows = folder / "importances.csv", [row for row in trials.to_dict("records") if row["state"] == "complete"]
    expected = importances(settings, [_frozen(settings, row) for row in rows])
    if not path.exists():
        if len(expected):
            yield "importances.csv is missing"
        return
    told = read_csv(path)
    same = [*told.columns] == COLUMNS and [*told["key"]] == [*expected["key"]]
    if not same or not all(np.allclose(told[name], expected[name].astype(float), atol=TOLERANCE) for name in _NUMBERS):
        yield "importances.csv does not follow from trials.csv"


def _frozen(settings: Sweep, row: Mapping[Any, Any]) -> FrozenTrial:
    params = {key: row[key] for key in settings.space if not pd.isna(row[key])}
    spaces = {key: _distribution(settings.space[key]) for key in params}
    kept = {key: _typed(value, spaces[key]) for key, value in params.items()}
    values = [row[name] for name in settings.objectives]
    return optuna.create_trial(params=kept, distributions=spaces, values=values)


def _distribution(tried: Mapping[str, Any]) -> BaseDistribution:
    if "choices" in tried:
        return CategoricalDistribution(tried["choices"])
    more = {name: tried[name] for name in ("log", "step") if name in tried}
    whole = all(isinstance(tried[end], int) for end in ("low", "high"))
    return (IntDistribution if whole else FloatDistribution)(tried["low"], tried["high"], **more)


def _typed(value: Any, space: BaseDistribution) -> Any:
    """A choice as the space has it, of which a table keeps the text."""
    if isinstance(space, CategoricalDistribution):
        return next((each for each in space.choices if _same(each, value)), space.choices[0])
    return int(value) if isinstance(space, IntDistribution) else float(value)

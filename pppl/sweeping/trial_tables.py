"""The results of a sweep: tables, figures, the best trial as an experiment file, and its W&B run."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from ..config import MEASURES, Experiment, Sweep
from ..config.plain_yaml import as_yaml
from ..system.files import remove, replacing
from ..system.printable import cell_of, printable
from ..system.tracking import notice, track
from ..tables.derived import Draw
from ..tables.journal import write_table
from ..tables.metric import ACCURACY, Metric, metric_of
from ..tables.provenance import fingerprint
from ..tables.rivals import BASELINES
from ..tables.schema import csv_text, write_csv
from .baselines import baselines, with_baselines, without_unmet
from .importances import importances, why_unknown
from .queue import RUN, WHY, Queue
from .space import trial_name, values_taken, with_values

# Files that a sweep writes, except figures and its journal.
FILES = ("trials.csv", "importances.csv", BASELINES, "best.yaml", "run.json")
_MEASURED = ("score", "score_low", "score_high", "own_minus_other", "macs_fraction")


def study_run(settings: Sweep, queue: Queue) -> str:
    """Return the id of the study's own W&B run.

    It is a hash of the id of the first trial's run, so that every machine, and a later call with more trials, continues
    the same run.
    """
    return fingerprint([settings.name, queue.trials()[0].user_attrs[RUN]])


def write_results(
    settings: Sweep, base: Experiment, queue: Queue, folder: Path, *, run: str, draw: Draw
) -> pd.DataFrame:
    """Write `trials.csv`, `importances.csv`, `baselines.csv`, `best.yaml` and figures; return the trials.

    **Arguments:**

    - `run`: the id of the W&B run that receives the results, too; empty if nothing is new. Baselines are then kept.
    - `draw`: a function that draws figures from the tables.
    """
    trials = queue.done()
    table, shares = trials_table(settings, trials), importances(settings, trials.values())
    write_csv(folder / "trials.csv", csv_text(table))
    remove(folder / "importances.csv")
    if len(shares):
        write_table(folder / "importances.csv", shares)
    else:
        notice(f"no importances.csv: {why_unknown(settings, trials.values())}")
    best = best_of(settings, trials.values())
    if best is not None:
        _write_best(settings, base, best, len(trials), folder)
        if run or not (folder / BASELINES).exists():
            _write_baselines(base, values_taken(settings.space, best.params), folder)
    figures = draw(folder)
    if run:
        names = {"group": settings.name, "name": settings.name, "job_type": "study"}
        with track(folder, settings.tracking, **names, config=settings.to_dict(), whole_id=run) as tracker:
            tracker.table("trials", table)
            tracker.table("importances", shares)
            if best is not None:
                tracker.summary(
                    dict(zip(settings.objectives, best.values, strict=True)) | values_taken(settings.space, best.params)
                )
            for path in figures:
                tracker.image(path.stem, path)
    return table


def _write_baselines(base: Experiment, values: Mapping[str, Any], folder: Path) -> None:
    remove(folder / BASELINES)
    table = baselines(base, values, folder)
    if len(table):
        write_table(folder / BASELINES, table)


def trials_table(settings: Sweep, trials: Mapping[int, FrozenTrial]) -> pd.DataFrame:
    """Return one row per slot that is done; the sampled values are the last columns, after `seconds`.

    `folder` is the trial's folder in the results folder of the machine that ran it, and `run` is the id of its W&B run,
    with which the name of the run's own folder ends. `run` is empty if W&B is not among the loggers.
    """
    best, front = best_of(settings, trials.values()), front_of(settings, trials.values())
    rows, metric = [], _metric_of(trials.values())
    for slot, trial in sorted(trials.items()):
        state = "given up" if WHY in trial.user_attrs else trial.state.name.lower()
        row: dict[str, Any] = {"trial": slot, "state": state, "metric": metric.name}
        row |= {name: _rounded(_measured(trial, name)) for name in _MEASURED}
        row |= {"feasible": is_feasible(trial), "best": trial is best}
        if len(settings.objectives) > 1:
            row["pareto"] = any(trial is each for each in front)
        row |= {"folder": f"trials/{trial_name(values_taken(settings.space, trial.params))}"}
        row |= {"run": trial.user_attrs.get(RUN, "") if "wandb" in settings.tracking.loggers else ""}
        seconds = trial.duration.total_seconds() if trial.duration else float("nan")
        rows.append(row | {"seconds": round(seconds, 2)} | _value_cells(settings, trial))
    return pd.DataFrame(rows)


def _metric_of(trials: Iterable[FrozenTrial]) -> Metric:
    """Return the metric of the trials; accuracy for those of earlier versions, which do not name it."""
    names = (trial.user_attrs["metric"] for trial in trials if "metric" in trial.user_attrs)
    return metric_of(next(names, ACCURACY.name))


def _measured(trial: FrozenTrial, name: str) -> float | None:
    """Return what a trial measured, also in a study of an earlier version, in which scores were called accuracy."""
    return trial.user_attrs.get(name, trial.user_attrs.get(name.replace("score", "accuracy")))


def _value_cells(settings: Sweep, trial: FrozenTrial) -> dict[str, Any]:
    """Return the sampled values as table cells; None if a hyperparameter had no value in this trial."""
    values = values_taken(settings.space, trial.params)
    return {key: cell_of(values[key]) if key in values else None for key in settings.space}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 8)


def is_feasible(trial: FrozenTrial) -> bool:
    """Return whether a trial is complete and satisfies all constraints."""
    return trial.state == TrialState.COMPLETE and all(value <= 0 for value in trial.constraints.values())


def best_of(settings: Sweep, trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """Return the best complete trial; None if there is none.

    It is the best in the first objective among the feasible trials, or among all if none is feasible. Ties go to the
    second objective, then to the earlier trial.
    """
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    candidates = [trial for trial in done if is_feasible(trial)] or done
    return max(candidates, key=lambda trial: (*_upwards(settings, trial), -trial.number), default=None)


def front_of(settings: Sweep, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the Pareto front of the feasible trials."""
    candidates = [trial for trial in trials if is_feasible(trial)]
    values = {trial.number: _upwards(settings, trial) for trial in candidates}

    def dominated(trial: FrozenTrial) -> bool:
        own = values[trial.number]
        return any(other != own and all(a >= b for a, b in zip(other, own, strict=True)) for other in values.values())

    return [trial for trial in candidates if not dominated(trial)]


def _upwards(settings: Sweep, trial: FrozenTrial) -> tuple[float, ...]:
    """Return the objectives with signs turned so that more is better."""
    pairs = zip(settings.objectives, trial.values, strict=True)
    return tuple(value if MEASURES[name] == "maximize" else -value for name, value in pairs)


def _write_best(settings: Sweep, base: Experiment, best: FrozenTrial, tried: int, folder: Path) -> None:
    """Write the best trial as an experiment file for `pppl compare`, with test persons and seeds that no trial saw."""
    seeds = [seed for seed in range(len(settings.seeds) + 3) if seed not in settings.seeds][:3]
    experiment = without_unmet(with_baselines(with_values(base, values_taken(settings.space, best.params))))
    changes = {"persons.query": "test", "seeds": seeds, "name": f"{settings.name}-best"}
    searched = base.searched.get(settings.method, 0) + tried
    experiment = experiment.replace(**changes, searched={settings.method: searched})
    titles = [_metric_of([best]).title if name == "score" else name for name in settings.objectives]
    scores = ", ".join(f"{title} {value:.4f}" for title, value in zip(titles, best.values, strict=True))
    head = f"# The best of {tried} trials of the sweep {printable(settings.name)}, on validation persons: {scores}.\n"
    head += "# That is the best of many, and flatters. Test persons were not seen; seeds are new.\n"
    if not is_feasible(best):
        head += "# No trial keeps to the constraints; this one does not either.\n"
    with replacing(folder / "best.yaml") as path:
        path.write_text(head + as_yaml(_overrides(experiment), flow=False), encoding="utf-8")


def _overrides(experiment: Experiment) -> dict[str, Any]:
    return _differing_from(experiment.to_dict(), Experiment().to_dict())


def _differing_from(tree: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a tree of settings that differs from the defaults."""
    result: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and isinstance(usual.get(key), Mapping) and usual[key]:
            if inside := _differing_from(value, usual[key]):
                result[key] = inside
        elif value != usual.get(key):
            result[key] = value
    return result

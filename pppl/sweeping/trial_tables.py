"""What a sweep comes to: tables, figures, its best as an experiment of its own, and its run in W&B."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from ..config import MEASURES, Experiment, Sweep
from ..config.plain_yaml import as_yaml
from ..system.files import remove, replacing
from ..system.printable import cell_of, printable
from ..system.tracking import track
from ..tables.derived import Draw
from ..tables.journal import write_table
from ..tables.provenance import fingerprint
from ..tables.schema import csv_text, write_csv
from .importances import importances
from .queue import RUN, WHY, Queue
from .space import values_taken, with_values

# What a sweep writes besides figures and its journal.
FILES = ("trials.csv", "importances.csv", "best.yaml", "run.json")
_MEASURED = ("accuracy", "accuracy_low", "accuracy_high", "own_minus_other", "macs_fraction")


def study_run(settings: Sweep, queue: Queue) -> str:
    """The id of the study's own W&B run.

    It follows from the trials' ids, so that every machine of a study writes the same run, also where some trials wait.
    """
    return fingerprint([settings.name, sorted(trial.user_attrs[RUN] for trial in queue.trials().values())])


def write_results(
    settings: Sweep, base: Experiment, queue: Queue, folder: Path, *, run: str, draw: Draw
) -> pd.DataFrame:
    """Write `trials.csv`, `importances.csv`, `best.yaml` and what `draw` draws; return the first.

    **Arguments:**

    - `run`: the id of the W&B run that is to have all of it, too; empty for none.
    """
    trials = queue.done()
    table, shares = trials_table(settings, trials), importances(settings, trials.values())
    write_csv(folder / "trials.csv", csv_text(table))
    remove(folder / "importances.csv")
    if len(shares):
        write_table(folder / "importances.csv", shares)
    best = best_of(settings, trials.values())
    if best is not None:
        _write_best(settings, base, best, len(trials), folder)
    figures = draw(folder)
    if run:
        names = {"group": settings.name, "name": settings.name, "job_type": "study"}
        with track(folder, **names, config=settings.to_dict(), whole_id=run) as tracker:
            tracker.table("trials", table)
            tracker.table("importances", shares)
            if best is not None:
                tracker.summary(
                    dict(zip(settings.objectives, best.values, strict=True)) | values_taken(settings.space, best.params)
                )
            for path in figures:
                tracker.image(path.stem, path)
    return table


def trials_table(settings: Sweep, trials: Mapping[int, FrozenTrial]) -> pd.DataFrame:
    """One row per slot that is done; the values that were tried come last, after `seconds`."""
    best, front = best_of(settings, trials.values()), front_of(settings, trials.values())
    rows = []
    for slot, trial in sorted(trials.items()):
        state = "given up" if WHY in trial.user_attrs else trial.state.name.lower()
        row: dict[str, Any] = {"trial": slot, "state": state}
        row |= {name: _rounded(trial.user_attrs.get(name)) for name in _MEASURED}
        row |= {"feasible": is_feasible(trial), "best": trial is best}
        if len(settings.objectives) > 1:
            row["pareto"] = any(trial is each for each in front)
        seconds = trial.duration.total_seconds() if trial.duration else float("nan")
        rows.append(row | {"seconds": round(seconds, 2)} | _tried(settings, trial))
    return pd.DataFrame(rows)


def _tried(settings: Sweep, trial: FrozenTrial) -> dict[str, Any]:
    """What was tried as cells, which tell values of one setting apart; empty where a setting had none."""
    values = values_taken(settings.space, trial.params)
    return {key: cell_of(values[key]) if key in values else None for key in settings.space}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 8)


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether a trial was finished and keeps to all constraints."""
    return trial.state == TrialState.COMPLETE and all(value <= 0 for value in trial.constraints.values())


def best_of(settings: Sweep, trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """The best in the first objective among those that keep to all constraints; where none does, among all."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    candidates = [trial for trial in done if is_feasible(trial)] or done
    return max(candidates, key=lambda trial: (*_upwards(settings, trial), -trial.number), default=None)


def front_of(settings: Sweep, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Those that keep to all constraints and that no other is at least as good as in every objective."""
    candidates = [trial for trial in trials if is_feasible(trial)]
    of = {trial.number: _upwards(settings, trial) for trial in candidates}

    def dominated(trial: FrozenTrial) -> bool:
        mine = of[trial.number]
        return any(other != mine and all(a >= b for a, b in zip(other, mine, strict=True)) for other in of.values())

    return [trial for trial in candidates if not dominated(trial)]


def _upwards(settings: Sweep, trial: FrozenTrial) -> tuple[float, ...]:
    """Objectives, each turned so that more is better."""
    pairs = zip(settings.objectives, trial.values, strict=True)
    return tuple(value if MEASURES[name] == "maximize" else -value for name, value in pairs)


def _write_best(settings: Sweep, base: Experiment, best: FrozenTrial, tried: int, folder: Path) -> None:
    """An experiment file for `pppl compare`: on test persons, which no trial saw, and with other seeds."""
    seeds = [seed for seed in range(len(settings.seeds) + 3) if seed not in settings.seeds][:3]
    experiment = with_values(base, values_taken(settings.space, best.params))
    changes = {"persons.query": "test", "seeds": seeds, "name": f"{settings.name}-best"}
    searched = base.searched.get(settings.method, 0) + tried
    experiment = experiment.replace(**changes, searched={settings.method: searched})
    told = ", ".join(f"{name} {value:.4f}" for name, value in zip(settings.objectives, best.values, strict=True))
    head = f"# The best of {tried} trials of the sweep {printable(settings.name)}, on validation persons: {told}.\n"
    head += "# That is the best of many, and flatters. Test persons were not seen; seeds are new.\n"
    if not is_feasible(best):
        head += "# No trial keeps to the constraints; this one does not either.\n"
    with replacing(folder / "best.yaml") as path:
        path.write_text(head + as_yaml(_differences(experiment), flow=False), encoding="utf-8")


def _differences(experiment: Experiment) -> dict[str, Any]:
    return _differing(experiment.to_dict(), Experiment().to_dict())


def _differing(tree: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """What of a tree differs from the defaults."""
    result: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and isinstance(usual.get(key), Mapping) and usual[key]:
            if inside := _differing(value, usual[key]):
                result[key] = inside
        elif value != usual.get(key):
            result[key] = value
    return result

"""What a sweep comes to: `trials.csv`, and its best as an experiment of its own."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from optuna.trial import FrozenTrial, TrialState

from ..config import Experiment, Sweep
from ..files import replacing
from .results import write_table
from .sweep_queue import Queue


def best_of(trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """The highest accuracy among those that keep to all constraints; where none does, among all."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    feasible = [trial for trial in done if all(value <= 0 for value in trial.constraints.values())]
    return max(feasible or done, key=lambda trial: (trial.values[0], -trial.number), default=None)


def write_trials(settings: Sweep, base: Experiment, queue: Queue, folder: Path) -> pd.DataFrame:
    """Writes `trials.csv` and `best.yaml`; returns the first."""
    trials = queue.trials()
    best = best_of(trials.values())
    rows = []
    for slot, trial in sorted(trials.items()):
        values = trial.values or [float("nan")]
        row: dict[str, Any] = {"trial": slot, "state": trial.state.name.lower(), "accuracy": values[0]}
        row |= {key: trial.user_attrs.get(key) for key in ("own_minus_other", "macs_fraction")}
        row |= {"feasible": all(value <= 0 for value in trial.constraints.values()), "best": trial is best}
        seconds = trial.duration.total_seconds() if trial.duration else float("nan")
        rows.append(row | {"seconds": round(seconds, 2)} | {key: trial.params.get(key) for key in settings.space})
    table = pd.DataFrame(rows)
    write_table(folder / "trials.csv", table)
    if best is not None:
        _write_best(settings, base, best, folder)
    return table


def _write_best(settings: Sweep, base: Experiment, best: FrozenTrial, folder: Path) -> None:
    """An experiment file for `pppl compare`: on test persons, which no trial saw, and with other seeds."""
    seeds = [seed for seed in range(len(settings.seeds) + 3) if seed not in settings.seeds][:3]
    changes = {"persons.query": "test", "seeds": seeds, "name": f"{settings.name}-best"}
    experiment = base.replace(**changes, **best.params)
    head = f"# The best of {settings.trials} trials of the sweep {settings.name}, accuracy {best.values[0]:.4f} on\n"
    head += "# validation persons. Test persons were not seen; seeds are new.\n"
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


def as_yaml(tree: Mapping[str, Any], *, flow: bool = True) -> str:
    """Plain values as YAML, on one line where it is `flow`."""
    plain = json.loads(json.dumps(dict(tree)))  # tuples and numpy's numbers are none
    text = yaml.safe_dump(plain, sort_keys=False, default_flow_style=flow, width=float("inf"))
    return text.strip() if flow else text

"""From a sweep's space to the experiment of a trial."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from ..config import Experiment, Sweep
from ..errors import UserError
from ..personalizers import personalizers_for


def base_of(sweep: Sweep, beside: Path, *, fast: bool = False) -> Experiment:
    """The experiment that all trials change, on validation persons.

    **Arguments:**

    - `beside`: the folder of the sweep's file. `fast`: whether to apply the experiment's section `fast`.

    Raises `UserError` where there is no such file, or a setting that it does not have.
    """
    path = next((each for each in (Path(sweep.base), beside / sweep.base) if each.is_file()), Path(sweep.base))
    if not sweep.base:
        raise UserError("base is missing: name the experiment file that trials change")
    alone = {"persons.query": "validation", "methods": [sweep.method], "budgets": [sweep.budget], "seeds": sweep.seeds}
    experiment = Experiment.load(path, {"tuning": {}, "searched": {}, "settings": {}}, fast=fast)
    return experiment.replace(**sweep.settings).replace(**alone, name=sweep.name)


def check_space(sweep: Sweep, base: Experiment) -> None:
    """Raises `UserError` where a key of the space is unknown, or an end of its range impossible, before any trial."""
    if not sweep.space:
        raise UserError("space is empty: name at least one key with what is tried of it")
    personalizers_for(base)
    for key, tried in sweep.space.items():
        for value in tried.get("choices", [tried.get("low"), tried.get("high")]):
            try:
                changed = with_values(base, {key: value})
            except UserError as error:
                raise UserError(f"space.{key}: {error}") from error
            if changed.methods != base.methods or changed.seeds != base.seeds or changed.persons != base.persons:
                raise UserError(f"space.{key}: trials must have the same method, seeds and persons")


def with_values(base: Experiment, values: Mapping[str, Any]) -> Experiment:
    """The experiment of a trial. Raises `UserError` for an unknown key or a value out of range."""
    changes = {("budgets" if key == "budget" else key): value for key, value in values.items()}
    if "budget" in values:
        changes["budgets"] = (values["budget"],)
    return base.replace(**changes)


def suggested(trial: optuna.Trial, space: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the sampler takes for a trial, by dotted key; keys whose condition does not hold are left out."""
    chosen: dict[str, Any] = {}
    for key, tried in space.items():
        if any(chosen.get(other) not in values for other, values in tried.get("when", {}).items()):
            continue
        if "choices" in tried:
            chosen[key] = trial.suggest_categorical(key, tried["choices"])
        elif all(isinstance(tried[end], int) for end in ("low", "high")):
            more = {name: tried[name] for name in ("log", "step") if name in tried}
            chosen[key] = trial.suggest_int(key, tried["low"], tried["high"], **more)
        else:
            more = {name: tried[name] for name in ("log", "step") if name in tried}
            chosen[key] = trial.suggest_float(key, tried["low"], tried["high"], **more)
    return chosen

"""From a sweep's space to the experiment of a trial."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from ..comparison.compare import check_settings
from ..config import Experiment, Sweep
from ..data import IdentityDataset
from ..personalizers import make_personalizers
from ..system.errors import UserError
from ..system.printable import cell_of

# Of a base what has no meaning for one method on validation persons.
_BARE = {"tuning": {}, "settings": {}}


def base_of(sweep: Sweep, beside: Path, *, fast: bool = False) -> Experiment:
    """The experiment that all trials change, on validation persons.

    **Arguments:**

    - `beside`: the folder of the sweep's file. `fast`: whether to apply the experiment's section `fast`.

    Raises `UserError` where there is no such file, or a setting that it does not have.
    """
    path = next((each for each in (Path(sweep.base), beside / sweep.base) if each.is_file()), Path(sweep.base))
    if not sweep.base:
        raise UserError("base is missing: name the experiment file that trials change")
    experiment = Experiment.load(path, fast=fast)
    own = experiment.own_settings(sweep.method)
    alone = {"persons.query": "validation", "methods": [sweep.method], "budgets": [sweep.budget], "seeds": sweep.seeds}
    alone["searched"] = {sweep.method: experiment.searched.get(sweep.method, 0)}
    return experiment.replace(**_BARE).replace(**own).replace(**sweep.settings).replace(**alone, name=sweep.name)


def check_space(sweep: Sweep, base: Experiment) -> None:
    """Raises `UserError` where a key of the space is unknown, or an end of its range impossible, before any trial."""
    if not sweep.space:
        raise UserError("space is empty: name at least one key with what is tried of it")
    if sweep.pruner != "none" and not any(each.gates for each in make_personalizers(base)):
        raise UserError(
            f"pruner is {sweep.pruner}, but {sweep.method} trains no gates that it could look at: none can be"
        )
    for key, _, changed in _ends(sweep, base):
        same = ("methods", "seeds", "persons", "data")
        if any(getattr(changed, name) != getattr(base, name) for name in same):
            raise UserError(f"space.{key}: trials must have the same method, seeds, persons and data")


def check_split(sweep: Sweep, base: Experiment, dataset: IdentityDataset) -> None:
    """Raises `UserError` where a trial could not run on the data, or test persons would be seen by another seed."""
    if dataset.split is None or base.persons.split != "official" or base.persons.folds:
        raise UserError(
            f"{base.data.name} is split by seed, so that what is searched with one seed is tested with another: search "
            "on a data set with a split of its own"
        )
    for key, value, changed in _ends(sweep, base):
        try:
            check_settings(changed, dataset)
        except UserError as error:
            raise UserError(f"space.{key}: {value}: {error}") from error


def _ends(sweep: Sweep, base: Experiment) -> list[tuple[str, Any, Experiment]]:
    """Each key at each end of its range, or with each of its choices."""
    ends = []
    for key, tried in sweep.space.items():
        for value in tried.get("choices", [tried.get("low"), tried.get("high")]):
            try:
                ends.append((key, value, with_values(base, {key: value})))
            except UserError as error:
                raise UserError(f"space.{key}: {error}") from error
    return ends


def with_values(base: Experiment, values: Mapping[str, Any]) -> Experiment:
    """The experiment of a trial. Raises `UserError` for an unknown key or a value out of range."""
    changes = dict(values)
    if "budget" in changes:
        changes["budgets"] = (changes.pop("budget"),)
    return base.replace(**changes)


def values_taken(space: Mapping[str, Mapping[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trial's parameters, by dotted key in the order of the space."""
    return {key: _meant(tried.get("choices", []), params[key]) for key, tried in space.items() if key in params}


def _meant(choices: Sequence[Any], told: Any) -> Any:
    known = _told(choices)
    return choices[known.index(told)] if told in known else told


def _told(choices: Sequence[Any]) -> list[Any]:
    """Choices as Optuna takes them, which knows text, numbers, true, false and null, and 1, 1.0 and true as one."""
    cells = [value if value is None else cell_of(value) for value in choices]
    alike = any(one == other for at, one in enumerate(cells) for other in cells[:at]) or any(c != c for c in cells)
    return [json.dumps(value) for value in choices] if alike else cells


def suggest(trial: optuna.Trial, space: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the sampler takes for a trial, by dotted key; keys whose condition does not hold are left out."""
    chosen: dict[str, Any] = {}
    for key, tried in space.items():
        if any(chosen.get(other) not in values for other, values in tried.get("when", {}).items()):
            continue
        if "choices" in tried:
            told = _told(tried["choices"])
            chosen[key] = tried["choices"][told.index(trial.suggest_categorical(key, told))]
            continue
        whole = all(isinstance(tried[end], int) for end in ("low", "high"))
        more = {name: tried[name] for name in ("log", "step") if name in tried}
        suggest: Any = trial.suggest_int if whole else trial.suggest_float
        chosen[key] = suggest(key, tried["low"], tried["high"], **more)
    return chosen

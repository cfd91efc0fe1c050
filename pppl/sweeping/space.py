"""The search space of a sweep: checks, sampled values, and the experiment of a trial."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from ..comparison.person_plan import check_settings
from ..config import Experiment, Sweep
from ..data import IdentityDataset
from ..personalizers import make_personalizers
from ..system.errors import UserError
from ..system.printable import cell_of
from ..tables.provenance import fingerprint
from ..tasks import task_of

# Sections of the base that mean nothing for one method on validation persons.
_UNUSED = {"tuning": {}, "settings": {}}


def base_of(sweep: Sweep, beside: Path, *, fast: bool = False) -> Experiment:
    """Return the base experiment, which all trials change, on validation persons.

    **Arguments:**

    - `beside`: the folder of the sweep's file, where `base` is looked for if it is not in the current folder.
    - `fast`: whether to apply the experiment's section `fast`.

    Raise `UserError` if the base file is missing or the sweep sets an unknown key.
    """
    path = next((path for path in (Path(sweep.base), beside / sweep.base) if path.is_file()), Path(sweep.base))
    if not sweep.base:
        raise UserError("base is missing: name the experiment file that trials change")
    experiment = Experiment.load(path, fast=fast)
    own = experiment.own_settings(sweep.method)
    alone = {"persons.query": "validation", "methods": [sweep.method], "budgets": [sweep.budget], "seeds": sweep.seeds}
    alone["looks"] = {name: each for name, each in experiment.looks.items() if name.split(" ")[0] == sweep.method}
    alone["searched"] = {sweep.method: experiment.searched.get(sweep.method, 0)}
    return experiment.replace(**_UNUSED).replace(**own).replace(**sweep.settings).replace(**alone, name=sweep.name)


def check_space(sweep: Sweep, base: Experiment) -> None:
    """Check the search space before any trial.

    Raise `UserError` if it is empty, a key is unknown, an end of a range or a choice is invalid, a key changes what all
    trials must share, or the pruner has no gates to watch.
    """
    if not sweep.space:
        raise UserError("space is empty: name at least one key with what is tried of it")
    if sweep.pruner != "none" and not any(each.gates for each in make_personalizers(base)):
        raise UserError(
            f"pruner is {sweep.pruner}, but {sweep.method} trains no gates for it to watch: set pruner to none"
        )
    for key, _, changed in _ends(sweep, base):
        same = ("methods", "seeds", "persons", "data")
        if any(getattr(changed, name) != getattr(base, name) for name in same):
            raise UserError(f"space.{key}: trials must have the same method, seeds, persons and data")


def check_split(sweep: Sweep, base: Experiment, dataset: IdentityDataset) -> None:
    """Check the search space against the data before any trial.

    Raise `UserError` if the data are split by seed, so that validation persons of one seed are test persons of another,
    if less of its metric is better, or if a trial could not run on the data.
    """
    if dataset.split is None or base.persons.split != "official" or base.persons.folds:
        raise UserError(
            f"{base.data.name} is split by seed, so validation persons of one seed are test persons of another: search "
            "on a data set with an official split"
        )
    metric = task_of(dataset).metrics[0]
    if not metric.higher_is_better:
        raise UserError(
            f"{base.data.name} is compared in {metric.name}, of which less is better, and sweeps maximize the score: "
            f"give the task {dataset.task} a first metric of which more is better"
        )
    for key, value, changed in _ends(sweep, base):
        try:
            check_settings(changed, dataset)
        except UserError as error:
            raise UserError(f"space.{key}: {value}: {error}") from error


def _ends(sweep: Sweep, base: Experiment) -> list[tuple[str, Any, Experiment]]:
    """Return each key with both ends of its range, or with each of its choices, and the experiment with that value."""
    ends = []
    for key, tried in sweep.space.items():
        for value in tried.get("choices", [tried.get("low"), tried.get("high")]):
            try:
                ends.append((key, value, with_values(base, {key: value})))
            except UserError as error:
                raise UserError(f"space.{key}: {error}") from error
    return ends


def with_values(base: Experiment, values: Mapping[str, Any]) -> Experiment:
    """Return `base` with the values of a trial.

    ```python
    with_values(Experiment(), {"budget": 0.2, "ppp.target_rate": 0.4}).budgets  # (0.2,)
    ```

    Raise `UserError` if a key is unknown or a value is out of range.
    """
    changes = dict(values)
    if "budget" in changes:
        changes["budgets"] = (changes.pop("budget"),)
    return base.replace(**changes)


def trial_name(values: Mapping[str, Any]) -> str:
    """Return the name of the folder of a trial with these values, by dotted key.

    >>> trial_name({"ppp.target_rate": 0.3})
    'a38e8d2c43306243'
    """
    return fingerprint(dict(values))


def values_taken(space: Mapping[str, Mapping[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values behind a trial's Optuna parameters, by dotted key in the order of the space.

    >>> values_taken({"ppp.gate_width": {"choices": [8, 16]}}, {"ppp.gate_width": 16})
    {'ppp.gate_width': 16}
    """
    return {key: _decoded(tried.get("choices", []), params[key]) for key, tried in space.items() if key in params}


def _decoded(choices: Sequence[Any], parameter: Any) -> Any:
    known = _encoded(choices)
    return choices[known.index(parameter)] if parameter in known else parameter


def _encoded(choices: Sequence[Any]) -> list[Any]:
    """Return the choices in a form that Optuna can store and tell apart.

    Optuna stores only text, numbers, booleans and null, and takes 1, 1.0 and true for the same choice. Choices that
    would be confused are therefore written as JSON.
    """
    cells = [value if value is None else cell_of(value) for value in choices]
    alike = any(one == other for at, one in enumerate(cells) for other in cells[:at]) or any(c != c for c in cells)
    return [json.dumps(value) for value in choices] if alike else cells


def suggest(trial: optuna.Trial, space: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the values that the sampler draws for a trial, by dotted key.

    Keys whose condition `when` does not hold are left out.

    ```python
    suggest(study.ask(), {"ppp.target_rate": {"low": 0.1, "high": 0.5}})  # {"ppp.target_rate": 0.32}, for example
    ```
    """
    chosen: dict[str, Any] = {}
    for key, tried in space.items():
        if any(chosen.get(other) not in values for other, values in tried.get("when", {}).items()):
            continue
        if "choices" in tried:
            encoded = _encoded(tried["choices"])
            chosen[key] = tried["choices"][encoded.index(trial.suggest_categorical(key, encoded))]
            continue
        whole = all(isinstance(tried[end], int) for end in ("low", "high"))
        more = {name: tried[name] for name in ("log", "step") if name in tried}
        suggest: Any = trial.suggest_int if whole else trial.suggest_float
        chosen[key] = suggest(key, tried["low"], tried["high"], **more)
    return chosen

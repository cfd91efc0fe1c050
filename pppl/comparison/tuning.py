"""Each method's few knobs, chosen on validation persons by one procedure for all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..config import Experiment, stages
from ..config.plain_yaml import as_yaml
from ..personalizers import make_personalizers
from ..personalizers.methods import own_sections
from ..system import progress
from ..system.errors import UserError
from ..system.files import claim, output_folder
from ..system.processes import Workers
from ..tables.intervals import mean_interval
from ..tables.journal import write_table
from ..tables.metric import metric_of
from ..tables.paired import people_of
from ..tables.provenance import fingerprint
from .folders import refuse_other_results
from .load import open_experiment
from .person_plan import PersonPlan

# Networks and persons of a seed that no comparison uses.
_SEED = 1000
_NETWORKS = "ppp"


def tune(experiment: Experiment, out: str | Path, *, workers: int = 1) -> pd.DataFrame:
    """Tries what `experiment.tuning` names, for each method by itself, and writes `tuned.csv`.

    Every trial is a comparison of one method on the persons' validation samples, with a seed of its own. Chosen is the
    best mean score over persons and budgets, with the own samples; of equals the first. `settings` that a method
    has already, or inherits, hold; what is chosen for a method holds for the steps behind it, which come later. What an
    earlier call finished is not computed again.

    **Returns:** `tuned.csv`: method, its settings as JSON, metric, n, people, score with its interval, and `chosen`.

    Raises `UserError` as `compare` does, and where no method of the experiment has anything to tune, or the data set
    has no split of its own: then a validation person of one seed is a test person of another.
    """
    methods = [method for method in experiment.methods if method in experiment.tuning]
    if not methods:
        raise UserError(f"tuning names none of the methods {', '.join(experiment.methods)}: give one its values there")
    if _SEED in experiment.seeds:
        raise UserError(f"seeds hold {_SEED}, with which settings are tuned: take another")
    _, dataset = open_experiment(experiment)
    if dataset.split is None or experiment.persons.split != "official" or experiment.persons.folds:
        raise UserError(
            f"{experiment.data.name} is split by seed, so that what is tuned with one seed is tested with another: "
            "tune on a data set with a split of its own"
        )
    methods.sort(key=lambda method: method.count("+"))
    trials = [(method, each) for method in methods for each in experiment.tried(method)]
    for method, each in trials:
        _trial(experiment, method, each)  # all are read before the first is run: a misspelt key costs no time
    folder, rows = output_folder(out), []
    refuse_other_results(folder, "compare", experiment.data, dataset)
    claim([folder / "tuned.csv"])
    with Workers(workers) as pool, progress.bar(total=len(trials), desc="trials") as bar:
        for method in methods:
            of_method = []
            for each in experiment.tried(method):
                trial = _trial(experiment, method, each)
                plan = PersonPlan(trial, folder / "tuning" / f"{method}-{fingerprint(each)[:8]}")
                row = {"method": method, "settings": json.dumps(each)} | _score(plan.computed(pool), method)
                of_method.append(row)
                bar.update()
            best = max(of_method, key=lambda row: metric_of(row).sign * row["score"])
            rows += [row | {"chosen": row is best} for row in of_method]
            experiment = _with(experiment, method, json.loads(best["settings"]))
    table = pd.DataFrame(rows)
    write_table(folder / "tuned.csv", table)
    return table


def _with(experiment: Experiment, method: str, settings: Mapping[str, Any]) -> Experiment:
    """With settings of a method's own; those of `ppp`, whose gates other methods have, too, are set for all."""
    own = {key: value for key, value in settings.items() if not _is_shared(method, key)}
    shared = {key: value for key, value in settings.items() if key not in own}
    chosen = experiment.settings | {method: experiment.settings.get(method, {}) | own}
    return experiment.replace(**shared, settings=chosen)


def _is_shared(method: str, key: str) -> bool:
    return method == key.split(".")[0] == _NETWORKS


def _trial(experiment: Experiment, method: str, settings: Mapping[str, Any]) -> Experiment:
    """One method alone on validation persons."""
    variant = "@" in method.split("+")[0]  # which has gates of its own
    for key in settings:
        section = key.split(".")[0]
        if section == _NETWORKS and method != _NETWORKS and not variant:
            raise UserError(f"tuning of method {method} holds {key}, which all gated methods share: tune it for ppp")
        if section not in own_sections(with_gates=True):
            sections = ", ".join(own_sections(with_gates=True))
            raise UserError(f"tuning of method {method} holds {key}: what can be tuned is in {sections}")
    alone = {"persons.query": "validation", "seeds": [_SEED], "methods": [method], "tuning": {}, "searched": {}}
    chosen = _with(experiment, method, settings)
    own = {stage: chosen.settings[stage] for stage in stages(method) if stage in chosen.settings}
    trial = chosen.replace(**alone, settings=own)  # of others nothing is made, nor read, for every trial anew
    make_personalizers(trial)
    return trial


def _score(table: pd.DataFrame, method: str) -> dict[str, Any]:
    own = table.query("method == @method and control in ('', 'own')")
    values, people = own["score"].tolist(), people_of(own)
    metric = metric_of(table)
    low, high = map(float, mean_interval(values, own["seed"].tolist(), people, limits=metric.limits))
    mean = sum(values) / len(values)
    row = {"metric": metric.name, "n": len(values), "people": len(set(people))}
    return row | {"score": mean, "score_low": low, "score_high": high}


def as_settings(tuned: pd.DataFrame) -> str:
    """What was chosen, as YAML for the experiment's `settings`."""
    chosen = tuned.query("chosen").to_dict("records")
    return as_yaml({"settings": {row["method"]: json.loads(row["settings"]) for row in chosen}}, flow=False)

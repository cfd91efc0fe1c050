"""The tuning of each method's hyperparameters on validation persons, by one procedure for all."""

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

# A seed for tuning, which no comparison may use.
_SEED = 1000
_NETWORKS = "ppp"


def tune(experiment: Experiment, out: str | Path, *, workers: int = 1) -> pd.DataFrame:
    """Try the values in `experiment.tuning`, for each method by itself, and write `tuned.csv`.

    Every trial is a comparison of one method on the persons' validation samples, with a seed of its own. The trial with
    the best mean score over persons and budgets, from the persons' own samples, is chosen; the first of equals wins.
    Trials keep the `settings` that a method has or inherits. The choice for a method also holds for methods that add
    steps to it, which are tuned later. Trials that an earlier call finished are not computed again.

    ```python
    print(as_settings(tune(experiment, "results/tuning", workers=4)))
    ```

    **Returns:** `tuned.csv`: method, its settings as JSON, metric, n, people, score with its interval, and `chosen`.

    Raise `UserError` as `compare` does, if no method of the experiment has anything to tune, or if the data set has no
    split of its own: a validation person of one seed would be a test person of another.
    """
    methods = [method for method in experiment.methods if method in experiment.tuning]
    if not methods:
        raise UserError(f"tuning names none of the methods {', '.join(experiment.methods)}: give one its values there")
    if _SEED in experiment.seeds:
        raise UserError(f"seeds contain {_SEED}, the seed that settings are tuned with: take another")
    _, dataset = open_experiment(experiment)
    if dataset.split is None or experiment.persons.split != "official" or experiment.persons.folds:
        raise UserError(
            f"{experiment.data.name} is split by seed, so persons that tune with one seed would test with another: "
            "tune on a data set with a split of its own"
        )
    methods.sort(key=lambda method: method.count("+"))
    trials = [(method, each) for method in methods for each in experiment.tried(method)]
    for method, each in trials:
        _trial(experiment, method, each)  # checks every trial first: a misspelt key costs no time
    folder, rows = output_folder(out), []
    refuse_other_results(folder, "compare", experiment.data, dataset)
    claim([folder / "tuned.csv"])
    with Workers(workers) as pool, progress.bar(total=len(trials), desc="trials") as bar:
        for method in methods:
            candidates = []
            for each in experiment.tried(method):
                trial = _trial(experiment, method, each)
                plan = PersonPlan(trial, folder / "tuning" / f"{method}-{fingerprint(each)[:8]}")
                row = {"method": method, "settings": json.dumps(each)} | _score(plan.computed(pool), method)
                candidates.append(row)
                bar.update()
            best = max(candidates, key=lambda row: metric_of(row).sign * row["score"])
            rows += [row | {"chosen": row is best} for row in candidates]
            experiment = _with_settings(experiment, method, json.loads(best["settings"]))
    table = pd.DataFrame(rows)
    write_table(folder / "tuned.csv", table)
    return table


def _with_settings(experiment: Experiment, method: str, settings: Mapping[str, Any]) -> Experiment:
    """Return the experiment with settings of a method; those of `ppp` that other methods share are set for all."""
    own = {key: value for key, value in settings.items() if not _is_shared(method, key)}
    shared = {key: value for key, value in settings.items() if key not in own}
    chosen = experiment.settings | {method: experiment.settings.get(method, {}) | own}
    return experiment.replace(**shared, settings=chosen)


def _is_shared(method: str, key: str) -> bool:
    """Return whether other methods have this setting of `ppp`, too."""
    return method == key.split(".")[0] == _NETWORKS


def _trial(experiment: Experiment, method: str, settings: Mapping[str, Any]) -> Experiment:
    """Return the experiment of one method alone on validation persons."""
    variant = "@" in method.split("+")[0]  # a variant has gates of its own
    for key in settings:
        section = key.split(".")[0]
        if section == _NETWORKS and method != _NETWORKS and not variant:
            raise UserError(f"tuning of method {method} holds {key}, which all gated methods share: tune it for ppp")
        if section not in own_sections(with_gates=True):
            sections = ", ".join(own_sections(with_gates=True))
            raise UserError(f"tuning of method {method} holds {key}: what can be tuned is in {sections}")
    alone = {"persons.query": "validation", "seeds": [_SEED], "methods": [method], "tuning": {}, "searched": {}}
    chosen = _with_settings(experiment, method, settings)
    own = {stage: chosen.settings[stage] for stage in stages(method) if stage in chosen.settings}
    trial = chosen.replace(**alone, settings=own)  # trials do not read the settings of other methods
    make_personalizers(trial)
    return trial


def _score(table: pd.DataFrame, method: str) -> dict[str, Any]:
    """Return the columns of a trial: metric, counts, and mean score with its interval."""
    own = table.query("method == @method and control in ('', 'own')")
    values, people = own["score"].tolist(), people_of(own)
    metric = metric_of(table)
    low, high = map(float, mean_interval(values, own["seed"].tolist(), people, limits=metric.limits))
    mean = sum(values) / len(values)
    row = {"metric": metric.name, "n": len(values), "people": len(set(people))}
    return row | {"score": mean, "score_low": low, "score_high": high}


def as_settings(tuned: pd.DataFrame) -> str:
    """Return the chosen values as YAML for the experiment's `settings`."""
    chosen = tuned.query("chosen").to_dict("records")
    return as_yaml({"settings": {row["method"]: json.loads(row["settings"]) for row in chosen}}, flow=False)

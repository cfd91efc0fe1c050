"""Each method's few knobs, chosen on validation persons by one procedure for all."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from tqdm.auto import tqdm

from ..config import Experiment
from ..errors import UserError
from ..files import output_folder
from .compare import Plan
from .provenance import fingerprint
from .results import write_table
from .statistics import bootstrap_interval, people_of

# Networks and persons of a seed that no comparison uses.
_SEED = 1000


def tune(experiment: Experiment, out: str | Path, *, workers: int = 1) -> pd.DataFrame:
    """Tries what `experiment.tuning` names, for each method by itself, and writes `tuned.csv`.

    Every trial is a comparison of one method on the persons' validation samples, with a seed of its own. Chosen is the
    highest mean accuracy over persons and budgets, with the own samples; of equals the first. What an earlier call
    finished is not computed again.

    **Returns:** `tuned.csv`: method, its settings as JSON, n, people, accuracy with its 95 % interval, and `chosen`.

    Raises `UserError` as `compare` does, and where no method of the experiment has anything to tune.
    """
    methods = [method for method in experiment.methods if method in experiment.tuning]
    if not methods:
        raise UserError(f"tuning names none of the methods {', '.join(experiment.methods)}: give one its values there")
    common = {"persons.query": "validation", "seeds": [_SEED], "settings": {}, "tuning": {}}
    trials = [(method, each) for method in methods for each in experiment.tried(method)]
    # Every one is read before the first is run: a misspelt key costs no time.
    trial = [experiment.replace(**common, **settings, methods=[method]) for method, settings in trials]
    folder, rows = output_folder(out), []
    for (method, settings), each in zip(tqdm(trials, desc="trials", disable=None), trial, strict=True):
        plan = Plan.of(each, folder / "tuning" / f"{method}-{fingerprint(settings)[:8]}")
        rows.append({"method": method, "settings": json.dumps(settings)} | _accuracy(plan.computed(workers)))
    table = pd.DataFrame(rows)
    best = table.groupby("method", sort=False)["accuracy"].idxmax()
    table["chosen"] = table.index.isin(best.tolist())
    write_table(folder / "tuned.csv", table)
    return table


def _accuracy(table: pd.DataFrame) -> dict[str, Any]:
    own = table.query("control in ('', 'own')")
    values, seeds, people = own["accuracy"].tolist(), own["seed"].tolist(), people_of(own)
    low, high = bootstrap_interval(values, seeds, people)
    mean = sum(values) / len(values)
    return {"n": len(values), "people": len(set(people)), "accuracy": mean, "accuracy_low": low, "accuracy_high": high}


def as_settings(tuned: pd.DataFrame) -> str:
    """What was chosen, as YAML for the experiment's `settings`."""
    chosen = tuned.query("chosen").to_dict("records")
    return yaml.safe_dump({"settings": {row["method"]: json.loads(row["settings"]) for row in chosen}}, sort_keys=False)

"""How a sweep is made again, and compared with that which was kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..comparison.result_kinds import KeptResults, ResultKind, check_data, read_csv
from ..config import Experiment, Sweep
from ..config.plain_yaml import as_yaml
from ..system.errors import UserError
from ..system.files import replacing
from ..tables.agreement import COLUMNS, TOLERANCE, agreement
from ..tables.schema import settings_of
from .sweep import sweep
from .trial_checks import check_trials

_MEASURED = ["accuracy", "accuracy_low", "accuracy_high", "own_minus_other", "macs_fraction"]


class SweepResults(ResultKind):
    """What `pppl sweep` makes.

    What a sampler draws depends on the trials that were finished by then, so that several workers seldom try all the
    same values twice. Compared are the best trial, the importances of settings, and those trials that both sweeps
    have run to their end with the same values: mostly those before the sampler begins to learn.
    """

    name = "sweep"

    def made(self, config: Mapping[str, Any]) -> bool:
        return "space" in config

    def check(self, kept: KeptResults) -> str:
        kept.settings(kept.config, Sweep)
        return check_data(kept, self._base(kept))

    def remake(self, kept: KeptResults, folder: Path, workers: int) -> None:
        base = folder / "base.yaml"  # the experiment that trials changed then, whatever its file holds today
        with replacing(base) as path:
            path.write_text(as_yaml(self._base(kept).to_dict(), flow=False), encoding="utf-8")
        settings = kept.settings(kept.config, Sweep).replace(base=str(base.absolute()))
        sweep(settings, folder, workers=workers)

    def agreement(self, kept: Path, again: Path) -> pd.DataFrame:
        one, other = (read_csv(folder / "trials.csv") for folder in (kept, again))
        parts = [_of_trials(one, other), _of_best(one, other)]
        if (kept / "importances.csv").exists():
            parts.append(_of_importances(kept, again))
        return pd.DataFrame([row for part in parts for row in part.to_dict("records")], columns=list(COLUMNS))

    def faults(self, kept: KeptResults) -> list[str]:
        return [*check_trials(kept.settings(kept.config, Sweep), kept.folder, int(kept.run.get("trials", 0)))]

    @staticmethod
    def _base(kept: KeptResults) -> Experiment:
        if not isinstance(kept.run.get("experiment"), dict):
            raise UserError("run.json does not tell the experiment that trials changed: run the sweep itself")
        return kept.settings(kept.run["experiment"], Experiment)


def _of_trials(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Trials of both with the same values."""
    keys = settings_of(one.columns)
    both = one[["trial", "state", *keys]].merge(other[["trial", "state", *keys]], on="trial", suffixes=("", "_again"))
    same = [
        row["trial"]
        for row in both.to_dict("records")
        if row["state"] == row["state_again"] == "complete"
        and all(_alike(row[key], row[f"{key}_again"]) for key in keys)
    ]
    tables = (each.loc[each["trial"].isin(same), ["trial", *_MEASURED]] for each in (one, other))
    first, second = (each.assign(trial="trial " + each["trial"].astype(str)) for each in tables)
    return agreement(first, second, keys=["trial"], value="accuracy")


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return bool(np.isclose(one, other, rtol=TOLERANCE, atol=0, equal_nan=True))


def _of_best(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    best = (each.loc[each["best"], _MEASURED].assign(trial="best trial") for each in (one, other))
    return agreement(*best, keys=["trial"], value="accuracy")


def _of_importances(kept: Path, again: Path) -> pd.DataFrame:
    columns = ["key", "importance", "importance_low", "importance_high"]
    one = read_csv(kept / "importances.csv")[columns]
    path = again / "importances.csv"  # none where too few trials were finished
    other = read_csv(path)[columns] if path.exists() else one.head(0)
    one, other = (each.assign(key="importance of " + each["key"].astype(str)) for each in (one, other))
    return agreement(one, other, keys=["key"], value="importance")

"""Reproduction of a sweep and its comparison with the kept results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..comparison.kept_results import KeptResults
from ..comparison.result_kinds import ResultKind, check_data
from ..config import Experiment, Sweep
from ..config.plain_yaml import as_yaml
from ..system.errors import UserError
from ..system.files import replacing
from ..tables.agreement import COLUMNS, TOLERANCE, agreement
from ..tables.schema import load_frame, settings_of
from .storage import JOURNAL
from .sweep import sweep
from .trial_checks import check_trials

_MEASURED = ["score", "score_low", "score_high", "own_minus_other", "macs_fraction"]


class SweepResults(ResultKind):
    """The results of `pppl sweep`.

    A sampler's draws depend on the trials that were finished before. With several workers, a repeated sweep therefore
    seldom tries all the same values. The comparison covers the best trial, the importances of the hyperparameters, and
    the trials that both sweeps completed with the same values, mostly those before the sampler begins to learn.
    """

    name = "sweep"

    def made(self, config: Mapping[str, Any]) -> bool:
        """Return whether a configuration is that of a sweep."""
        return "space" in config

    def check(self, kept: KeptResults) -> str:
        """Return what to know about the data before the sweep runs again; mostly nothing.

        Raise `MissingInputs` if the data are missing or have changed, `UserError` if the settings are no longer valid.
        """
        kept.settings(kept.config, Sweep)
        return check_data(kept, self._base(kept))

    def remake(self, kept: KeptResults, folder: Path, workers: int) -> None:
        """Run the sweep again in `folder`, or resume it there."""
        base = folder / "base.yaml"  # the base experiment of that time, since its own file may have changed
        with replacing(base) as path:
            path.write_text(as_yaml(self._base(kept).to_dict(), flow=False), encoding="utf-8")
        settings = kept.settings(kept.config, Sweep).replace(base=str(base.absolute()))
        sweep(settings, folder, workers=workers)

    def agreement(self, kept: Path, again: Path) -> pd.DataFrame:
        """Return how the trials, the best trial and the importances of two results folders agree."""
        one, other = (load_frame(folder / "trials.csv") for folder in (kept, again))
        parts = [_compare_trials(one, other), _compare_best(one, other)]
        if (kept / "importances.csv").exists():
            parts.append(_compare_importances(kept, again))
        return pd.DataFrame([row for part in parts for row in part.to_dict("records")], columns=list(COLUMNS))

    def unfinished(self, folder: Path) -> str:
        """Return that a study has no tables yet, if it was killed or still runs."""
        if not (folder / JOURNAL).exists() or (folder / "run.json").exists():
            return ""
        remedy = "`pppl sweep` with the same --out goes on, and with --status tells how far it is"
        return f"the sweep in {folder} is not finished: {remedy}"

    def faults(self, kept: KeptResults) -> list[str]:
        """Return the faults of a sweep's folder, one line each."""
        return [*check_trials(kept.settings(kept.config, Sweep), kept.folder, int(kept.run.get("trials", 0)))]

    @staticmethod
    def _base(kept: KeptResults) -> Experiment:
        if not isinstance(kept.run.get("experiment"), dict):
            raise UserError("run.json lacks the base experiment of the sweep: run `pppl sweep` again")
        return kept.settings(kept.run["experiment"], Experiment)


def _compare_trials(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Compare the trials that both sweeps completed with the same values."""
    keys = settings_of(one.columns)
    both = one[["trial", "state", *keys]].merge(other[["trial", "state", *keys]], on="trial", suffixes=("", "_again"))
    same = [
        row["trial"]
        for row in both.to_dict("records")
        if row["state"] == row["state_again"] == "complete"
        and all(_is_same(row[key], row[f"{key}_again"]) for key in keys)
    ]
    tables = (each.loc[each["trial"].isin(same), ["trial", *_MEASURED]] for each in (one, other))
    first, second = (each.assign(trial="trial " + each["trial"].astype(str)) for each in tables)
    return agreement(first, second, keys=["trial"], value="score")


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return bool(np.isclose(one, other, rtol=TOLERANCE, atol=0, equal_nan=True))


def _compare_best(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    best = (each.loc[each["best"], _MEASURED].assign(trial="best trial") for each in (one, other))
    return agreement(*best, keys=["trial"], value="score")


def _compare_importances(kept: Path, again: Path) -> pd.DataFrame:
    columns = ["key", "importance", "importance_low", "importance_high"]
    one = load_frame(kept / "importances.csv")[columns]
    path = again / "importances.csv"  # missing if too few trials were finished
    other = load_frame(path)[columns] if path.exists() else one.head(0)
    one, other = (each.assign(key="importance of " + each["key"].astype(str)) for each in (one, other))
    return agreement(one, other, keys=["key"], value="importance")

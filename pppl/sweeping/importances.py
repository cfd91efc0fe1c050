"""Which settings matter: PED-ANOVA, with intervals over trials."""

import warnings
from collections.abc import Iterable

import numpy as np
import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from ..config import MEASURES, Sweep

# Fewer trials than this tell nothing of what their best tenth have in common.
_LEAST, _RESAMPLES = 20, 200
COLUMNS = ["key", "importance", "importance_low", "importance_high", "trials"]


def importances(settings: Sweep, trials: Iterable[FrozenTrial]) -> pd.DataFrame:
    """How much the best tenth of finished trials differ from all of these in each setting.

    Shares that sum to one, the highest first.

    Settings that not every trial has are left out, and all of them where there are fewer than 20 trials. PED-ANOVA
    (Watanabe, Bansal, Hutter, IJCAI 2023) of the first objective. Intervals, 95 %, are of deviations from their mean of
    shares of random halves of the trials, which spread as those of as many other trials would (delete-half jackknife:
    Shao, Wu, Annals of Statistics 1989); trials drawn twice would be taken for what the best have in common.

    **Returns:** key, importance, importance_low, importance_high, trials.
    """
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    keys = [key for key in settings.space if all(key in trial.params for trial in done)]
    values = np.array([trial.values[0] for trial in done])
    if len(done) < _LEAST or not keys or np.ptp(values) == 0:
        return pd.DataFrame(columns=COLUMNS)
    with warnings.catch_warnings():
        # So it is where all of a draw are equally good.
        warnings.filterwarnings("ignore", "Target and region quantiles select the same set")
        return _table(settings, keys, done)


def _table(settings: Sweep, keys: list[str], done: list[FrozenTrial]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    shares = _shares(settings, keys, done)
    half = len(done) // 2
    again = [_shares(settings, keys, [done[i] for i in rng.permutation(len(done))[:half]]) for _ in range(_RESAMPLES)]
    spread = np.nanpercentile(again - np.nanmean(again, axis=0), [2.5, 97.5], axis=0)
    low, high = np.clip(np.array(shares) + spread, 0, 1)
    columns = {"key": keys, "importance": shares, "importance_low": low, "importance_high": high, "trials": len(done)}
    table = pd.DataFrame(columns, columns=COLUMNS)
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _shares(settings: Sweep, keys: list[str], trials: list[FrozenTrial]) -> list[float]:
    study = optuna.create_study(direction=MEASURES[settings.objectives[0]])
    study.add_trials(
        optuna.create_trial(params=trial.params, distributions=trial.distributions, value=trial.values[0])
        for trial in trials
    )
    shares = optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=keys)
    return [shares[key] for key in keys]

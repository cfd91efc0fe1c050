"""Hyperparameter importances by PED-ANOVA, with confidence intervals over trials."""

import warnings
from collections.abc import Iterable

import numpy as np
import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from ..config import LEAST_TRIALS, MEASURES, Sweep

_RESAMPLES = 200
COLUMNS = ["key", "importance", "importance_low", "importance_high", "trials"]


def importances(settings: Sweep, trials: Iterable[FrozenTrial]) -> pd.DataFrame:
    """Return how much each hyperparameter matters, by PED-ANOVA (Watanabe, Bansal, Hutter, IJCAI 2023).

    An importance measures how much the best tenth of the complete trials, by the first objective, differ from all
    complete trials in one hyperparameter. Importances sum to 1, and the highest comes first. Hyperparameters that some
    complete trial lacks are left out. The table is empty if fewer than 20 trials are complete or all are equally good.

    The 95 % intervals come from random halves of the trials (delete-half jackknife: Shao, Wu, Annals of Statistics
    1989): the importances of the halves spread around their mean as those of a new set of trials would. A bootstrap
    would be wrong here, since PED-ANOVA would mistake a trial that was drawn twice for a trait of the best trials.

    ```python
    importances(Sweep.load("sweeps/tune/digits_ppp.yaml"), study.trials)  # study: an optuna.Study
    ```

    **Returns:** key, importance, importance_low, importance_high, trials.
    """
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if why_unknown(settings, done):
        return pd.DataFrame(columns=COLUMNS)
    keys = _keys_of_all(settings, done)
    with warnings.catch_warnings():
        # Optuna warns when all trials of a random half are equally good, which is harmless here.
        warnings.filterwarnings("ignore", "Target and region quantiles select the same set")
        return _table(settings, keys, done)


def why_unknown(settings: Sweep, trials: Iterable[FrozenTrial]) -> str:
    """Return why `importances` are unknown, and how many complete trials are missing; empty if they are known.

    >>> why_unknown(Sweep(base="x", space={"ppp.target_rate": {"low": 0.1, "high": 0.5}}), [])
    '0 trials are complete, and importances need 20: 20 more'
    """
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(done) < LEAST_TRIALS:
        return f"{len(done)} trials are complete, and importances need {LEAST_TRIALS}: {LEAST_TRIALS - len(done)} more"
    if not _keys_of_all(settings, done):
        return "no setting has a value in all complete trials"
    return "" if np.ptp([trial.values[0] for trial in done]) else "all complete trials are equally good"


def _keys_of_all(settings: Sweep, done: list[FrozenTrial]) -> list[str]:
    return [key for key in settings.space if all(key in trial.params for trial in done)]


def _table(settings: Sweep, keys: list[str], done: list[FrozenTrial]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    shares = _pedanova(settings, keys, done)
    half = len(done) // 2
    draws = [[done[i] for i in rng.permutation(len(done))[:half]] for _ in range(_RESAMPLES)]
    halves = [_pedanova(settings, keys, draw) for draw in draws]
    spread = np.nanpercentile(halves - np.nanmean(halves, axis=0), [2.5, 97.5], axis=0)
    low, high = np.clip(np.array(shares) + spread, 0, 1)
    columns = {"key": keys, "importance": shares, "importance_low": low, "importance_high": high, "trials": len(done)}
    table = pd.DataFrame(columns, columns=COLUMNS)
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _pedanova(settings: Sweep, keys: list[str], trials: list[FrozenTrial]) -> list[float]:
    study = optuna.create_study(direction=MEASURES[settings.objectives[0]])
    study.add_trials(
        optuna.create_trial(params=trial.params, distributions=trial.distributions, value=trial.values[0])
        for trial in trials
    )
    shares = optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=keys)
    return [shares[key] for key in keys]

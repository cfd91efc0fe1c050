"""Paired tests over people. Tables and figures use them to decide which differences are significant."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .intervals import mean_interval
from .metric import Metric

Scores = dict[tuple[Any, Any], float]  # by seed and person


def wilcoxon_p(differences: Sequence[float]) -> float:
    """Return the exact two-sided p-value of the Wilcoxon signed-rank test on paired differences.

    Zeros have no direction and are left out; the p-value is 1 if nothing else is left. Differences are rounded to 6
    decimals first, since equal differences of fractions may differ in their last bits and must be tied. The null
    distribution covers all assignments of signs to the given ranks, ties included. (The exact method of scipy does not
    support ties.)

    >>> wilcoxon_p([0.1, 0.1, 0.1, 0.1])  # 2 of the 16 assignments are as extreme
    0.125
    """
    from scipy import stats

    array = np.round(np.asarray(differences, float), 6)
    array = array[array != 0]
    ranks = np.rint(2 * stats.rankdata(np.abs(array))).astype(int)  # doubled, so that ties have whole ranks
    chances = np.ones(1)  # the probability of each sum of the ranks with a positive sign
    for rank in ranks:
        chances = (np.append(chances, np.zeros(rank)) + np.append(np.zeros(rank), chances)) / 2
    positive = int(ranks[array > 0].sum())
    return float(min(1, 2 * min(chances[: positive + 1].sum(), chances[positive:].sum())))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for multiple tests, so that all claims of a family hold together (Holm 1979).

    NaN stands for no test. It stays NaN and does not count as a test.

    >>> holm([0.01, 0.25, 0.02])
    [0.03, 0.25, 0.04]
    """
    array = np.asarray(p_values, float)
    order = np.argsort(array)  # NaN comes last
    count = int(np.count_nonzero(~np.isnan(array)))
    corrected = np.full(len(array), np.nan)
    ascending = array[order[:count]] * np.arange(count, 0, -1)
    corrected[order[:count]] = np.minimum(1, np.maximum.accumulate(ascending))
    return corrected.tolist()


def wilcoxon_p_of_people(rows: pd.DataFrame, name: str) -> float:
    """Return `wilcoxon_p` of a column's differences, averaged over the rows of each person first.

    One person with several sets of words, or under several networks, is not counted as several people.
    """
    each: Any = rows.assign(who=people_of(rows)).groupby("who")[name]
    return wilcoxon_p(each.mean().tolist())


def scores_by(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], Scores]:
    """Return scores by seed and person, for each value of the columns `names`.

    >>> scores_by(["method"], [{"method": "l1", "seed": 0, "identity": "ann", "score": 0.5}])
    {('l1',): {(0, 'ann'): 0.5}}
    """
    scores: dict[tuple[Any, ...], Scores] = {}
    for row in rows:
        key = tuple(row[name] for name in names)
        scores.setdefault(key, {})[row["seed"], row["identity"]] = float(row["score"])
    return scores


def paired_interval(differences: Mapping[tuple[Any, Any], float], metric: Metric) -> tuple[float, float]:
    """Return the 95 % interval of the mean of differences by seed and person."""
    people = people_of(pd.DataFrame({"identity": [identity for _, identity in differences]}))
    low, high = mean_interval([*differences.values()], [seed for seed, _ in differences], people, limits=metric.spread)
    return float(low), float(high)


def people_of(rows: pd.DataFrame) -> list[str]:
    """Return the person of each row. The identity `speaker:words` is that speaker; a subset of classes is itself.

    >>> people_of(pd.DataFrame({"identity": ["ann:yes,no", "0,3"]}))
    ['ann', '0,3']
    """
    return [str(identity).partition(":")[0] for identity in rows["identity"]]

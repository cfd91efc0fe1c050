"""Confidence intervals of means over persons and seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

_LEVEL = 0.95
# Of the two sources' shares in the mean's degrees of freedom. With Satterthwaite's 2 and three seeds, intervals of 95 %
# cover 91 to 93 % where networks differ as much as persons; with 1 and six people, up to 98 %.
_SHARE_POWER = 1.25


def mean_interval(
    values: np.ndarray | Sequence[float],
    seeds: Sequence[int],
    people: Sequence[str],
    *,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the 95 % confidence interval of a mean over networks (one per seed) and people.

    The model has two random effects, `value = mean + network + person + rest`, and any pattern of who comes back with
    which seed: nobody (persons drawn anew), everybody (an official split), or some. Two estimates add up to the
    variance of the mean: that of the seeds' contributions, and what people who come back add to it, which no
    difference between seeds shows (by the method of moments, from the products of a person's deviations under
    different seeds). The quantile is Student's t, with degrees of freedom between `seeds - 1` and `people - 1` by the
    two shares of the variance (after Satterthwaite 1946). So with persons drawn anew it is the t interval over the
    seeds' means, and where networks do not differ, that over people. `pppl bench coverage` simulates it.

    With one seed the interval is over people and holds for that network. Nothing can be told from a single person under
    a single seed: both ends are NaN.

    **Arguments:**

    - `values`: `(N,)`, or `(N, K)` for K means of the same rows.
    - `seeds`, `people`: the seed of each row, and whose it is; rows of one person and seed are no independent ones.
    - `limits`: between which the mean must lie, such as 0 and 1.

    **Returns:** the lower and the upper ends, each of the shape of one row's value, `()` or `(K,)`.

    ```python
    low, high = mean_interval([0.9, 0.8, 0.7], seeds=[0, 1, 2], people=["ann", "bob", "cid"], limits=(0, 1))
    ```
    """
    array = np.asarray(values, float)
    mean = array.mean(0)
    parts, sums = _cells(array.reshape(len(array), -1), seeds, people)
    variance, freedom = _variance(parts, sums)
    half = (stats.t.ppf((1 + _LEVEL) / 2, freedom) * np.sqrt(variance)).reshape(mean.shape)
    return np.clip(mean - half, *limits), np.clip(mean + half, *limits)


def _cells(values: np.ndarray, seeds: Sequence[int], people: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return each person's share of the rows under each seed, `(S, P)`, and the same of the sums of values over all
    rows' number, `(S, P, K)`.
    """
    (seed, names), (who, persons) = (pd.factorize(np.asarray(each, object)) for each in (seeds, people))
    shape = (len(names), len(persons))
    parts, sums = np.zeros(shape), np.zeros((*shape, values.shape[1]))
    np.add.at(parts, (seed, who), 1 / len(values))
    np.add.at(sums, (seed, who), values / len(values))
    return parts, sums


def _variance(parts: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of each mean and its degrees of freedom, both `(K,)`; NaN where nothing varies.

    **Arguments:**

    - `parts`: `(S, P)`, the weights of persons under seeds, which add up to 1; `sums`: `(S, P, K)`.
    """
    (count, people), mean = parts.shape, sums.sum((0, 1))
    if count == 1:
        between = _of_totals((sums - parts[..., None] * mean)[0])
        return between, np.full_like(between, people - 1 if people > 1 else np.nan)
    of_seed = parts.sum(1)  # (S,)
    seeds = _of_totals(sums.sum(1) - of_seed[:, None] * mean)
    # Deviations from the seed's own mean, times their weights.
    deviations = sums - parts[..., None] * (sums.sum(1) / of_seed[:, None])[:, None]
    apart = (parts.sum(0) ** 2).sum() - (parts**2).sum()  # weight of pairs of a person's cells under different seeds
    if people == 1 or apart <= 0:
        return seeds, np.full_like(seeds, count - 1)
    pairs = (deviations.sum(0) ** 2 - (deviations**2).sum(0)).sum(0)
    person = np.maximum(pairs / apart, 0) * people / (people - 1)  # the variance of persons
    shown = count / (count - 1) * ((parts - np.outer(of_seed, parts.sum(0))) ** 2).sum()  # as far as seeds show it
    more = person * max((parts.sum(0) ** 2).sum() - shown, 0)
    total = seeds + more
    share = np.divide(seeds, total, out=np.ones_like(total), where=total > 0)
    freedom = 1 / (share**_SHARE_POWER / (count - 1) + (1 - share) ** _SHARE_POWER / (people - 1))
    return total, freedom


def _of_totals(totals: np.ndarray) -> np.ndarray:
    """Return the variance of a sum of independent contributions `(n, K)` that are centred on 0."""
    count = len(totals)
    return (totals**2).sum(0) * (count / (count - 1) if count > 1 else np.nan)

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
    seeds' means, and where networks do not differ, that over people. Where people come back, it is no narrower than the
    t interval over people, since differences between seeds of few people show little of theirs. `pppl bench coverage`
    simulates it.

    With one seed the interval is over people and holds for that network. Nothing can be told from a single person under
    a single seed: both ends are NaN. Seeds may agree by chance, so that on each side an interval has at least one
    standard error over people under these networks.

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
    half = _half_width(parts, sums).reshape(mean.shape)
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


def _half_width(parts: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return half of each interval's width, `(K,)`; NaN where nothing can be told.

    **Arguments:**

    - `parts`: `(S, P)`, the weights of persons under seeds, which add up to 1; `sums`: `(S, P, K)`.
    """
    (count, people), of_seed = parts.shape, parts.sum(1)  # (S,)
    # Deviations from the seed's own mean, times their weights.
    deviations = sums - parts[..., None] * (sums.sum(1) / of_seed[:, None])[:, None]
    within = _of_totals(deviations.sum(0))  # over people under these networks
    if count == 1:
        return _quantile(people - 1) * np.sqrt(within)
    seeds = _of_totals(sums.sum(1) - of_seed[:, None] * sums.sum((0, 1)))
    more = _of_people_who_come_back(parts, deviations)
    total = seeds + more
    share = np.divide(seeds, total, out=np.ones_like(total), where=total > 0)
    freedom = 1 / (share**_SHARE_POWER / (count - 1) + (1 - share) ** _SHARE_POWER / max(1, people - 1))
    half = np.fmax(_quantile(freedom) * np.sqrt(total), np.sqrt(within))
    if (parts > 0).sum() == people:  # nobody comes back
        return half
    of_people = _of_totals(sums.sum(0) - parts.sum(0)[:, None] * sums.sum((0, 1)))
    return np.fmax(half, _quantile(people - 1) * np.sqrt(of_people))


def _of_people_who_come_back(parts: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return the part of the variance that people add and differences between seeds do not show, `(K,)`."""
    (count, people), of_seed, of_person = parts.shape, parts.sum(1), parts.sum(0)
    apart = (of_person**2).sum() - (parts**2).sum()  # weight of pairs of a person's cells under different seeds
    if people == 1 or apart <= 0:
        return np.zeros(deviations.shape[2])
    pairs = (deviations.sum(0) ** 2 - (deviations**2).sum(0)).sum(0)
    person = np.maximum(pairs / apart, 0) * people / (people - 1)  # the variance of persons
    shown = count / (count - 1) * ((parts - np.outer(of_seed, of_person)) ** 2).sum()  # as far as seeds show it
    return person * max((of_person**2).sum() - shown, 0)


def _quantile(freedom: np.ndarray | int) -> np.ndarray:
    return stats.t.ppf((1 + _LEVEL) / 2, np.where(np.asarray(freedom) > 0, freedom, np.nan))


def _of_totals(totals: np.ndarray) -> np.ndarray:
    """Return the variance of a sum of independent contributions `(n, K)` that are centred on 0; NaN of one."""
    count = len(totals)
    return (totals**2).sum(0) * (count / (count - 1) if count > 1 else np.nan)

"""Confidence intervals of means over persons and seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

_LEVEL = 0.95
# The exponent of the two sources' shares of the variance in the degrees of freedom of the mean. With Satterthwaite's
# exponent 2 and three seeds, 95 % intervals cover 91 to 93 % if networks differ as much as persons. With exponent 1 and
# six people, they cover up to 98 %.
_SHARE_POWER = 1.25


def mean_interval(
    values: np.ndarray | Sequence[float],
    seeds: Sequence[int],
    people: Sequence[str],
    *,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the 95 % confidence interval of a mean over networks (one per seed) and people.

    The model has two random effects: `value = mean + network + person + rest`. The same people may come back with
    other seeds: nobody does (persons are drawn anew), everybody does (an official split), or some do.

    The variance of the mean is the sum of two estimates. The first is the variance of the seeds' contributions. The
    second is the part of people who come back, which differences between seeds do not show. It is estimated by the
    method of moments, from the products of a person's deviations under different seeds.

    The quantile is Student's t. Its degrees of freedom lie between `seeds - 1` and `people - 1`, by the two shares of
    the variance (after Satterthwaite 1946). If persons are drawn anew, this is the t interval over the seeds' means.
    If networks do not differ, it is the t interval over people. If people come back, the interval is never narrower
    than the t interval over people, since seeds with few people hardly show how people differ. `pppl bench coverage`
    simulates how often intervals hold the true mean.

    With one seed, the interval is over people and holds for that network. With one person and one seed, both ends are
    NaN. Seeds may agree by chance, so each side is at least one standard error over people under these networks.

    **Arguments:**

    - `values`: `(N,)`, or `(N, K)` for K means of the same rows.
    - `seeds`, `people`: the seed and the person of each row. Rows of the same person and seed are not independent.
    - `limits`: the range that the mean must lie in, such as 0 to 1. The ends are clipped to it.

    **Returns:** the lower and the upper ends, each with the shape of one row's value, `()` or `(K,)`.

    >>> low, high = mean_interval([0.9, 0.8, 0.7], seeds=[0, 1, 2], people=["ann", "bob", "cid"], limits=(0, 1))
    >>> f"{low:.2f} to {high:.2f}"
    '0.55 to 1.00'
    """
    array = np.asarray(values, float)
    mean = array.mean(0)
    parts, sums = _cells(array.reshape(len(array), -1), seeds, people)
    half = _half_width(parts, sums).reshape(mean.shape)
    return np.clip(mean - half, *limits), np.clip(mean + half, *limits)


def _cells(values: np.ndarray, seeds: Sequence[int], people: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return each person's share of the rows under each seed, `(S, P)`, and its part of the mean, `(S, P, K)`."""
    (seed, names), (who, persons) = (pd.factorize(np.asarray(each, object)) for each in (seeds, people))
    shape = (len(names), len(persons))
    parts, sums = np.zeros(shape), np.zeros((*shape, values.shape[1]))
    np.add.at(parts, (seed, who), 1 / len(values))
    np.add.at(sums, (seed, who), values / len(values))
    return parts, sums


def _half_width(parts: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return half the width of each interval, `(K,)`; NaN for one person and one seed.

    **Arguments:**

    - `parts`: `(S, P)`, the weights of persons under seeds, which add up to 1.
    - `sums`: `(S, P, K)`, the weighted values, which add up to the means.
    """
    (count, people), seed_weights = parts.shape, parts.sum(1)  # (S,)
    # Deviations from the seed's own mean, times their weights, (S, P, K).
    deviations = sums - parts[..., None] * (sums.sum(1) / seed_weights[:, None])[:, None]
    within = _sum_variance(deviations.sum(0))  # over people under these networks
    if count == 1:
        return _quantile(people - 1) * np.sqrt(within)
    seeds = _sum_variance(sums.sum(1) - seed_weights[:, None] * sums.sum((0, 1)))
    returning = _returning_people_variance(parts, deviations)
    total = seeds + returning
    share = np.divide(seeds, total, out=np.ones_like(total), where=total > 0)
    freedom = 1 / (share**_SHARE_POWER / (count - 1) + (1 - share) ** _SHARE_POWER / max(1, people - 1))
    half = np.fmax(_quantile(freedom) * np.sqrt(total), np.sqrt(within))
    if (parts > 0).sum() == people:  # nobody comes back
        return half
    over_people = _sum_variance(sums.sum(0) - parts.sum(0)[:, None] * sums.sum((0, 1)))
    return np.fmax(half, _quantile(people - 1) * np.sqrt(over_people))


def _returning_people_variance(parts: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return the variance that people who come back add, as far as differences between seeds do not show it, `(K,)`."""
    (count, people), seed_weights, person_weights = parts.shape, parts.sum(1), parts.sum(0)
    apart = (person_weights**2).sum() - (parts**2).sum()  # the weight of pairs of one person under different seeds
    if people == 1 or apart <= 0:
        return np.zeros(deviations.shape[2])
    pairs = (deviations.sum(0) ** 2 - (deviations**2).sum(0)).sum(0)
    person = np.maximum(pairs / apart, 0) * people / (people - 1)  # the variance between persons
    independent = np.outer(seed_weights, person_weights)
    shown = count / (count - 1) * ((parts - independent) ** 2).sum()  # the part that seeds show
    return person * max((person_weights**2).sum() - shown, 0)


def _quantile(freedom: np.ndarray | int) -> np.ndarray:
    from scipy.special import stdtrit  # takes 0.3 s to import

    return stdtrit(np.where(np.asarray(freedom) > 0, freedom, np.nan), (1 + _LEVEL) / 2)


def _sum_variance(contributions: np.ndarray) -> np.ndarray:
    """Return the variance of a sum of independent contributions, `(n, K)`, with mean 0; NaN if there is only one."""
    count = len(contributions)
    return (contributions**2).sum(0) * (count / (count - 1) if count > 1 else np.nan)

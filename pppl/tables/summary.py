"""Summaries of a comparison's rows: means with intervals over persons and seeds, curves and personal gains."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from .intervals import mean_interval
from .journal import ABOUT
from .metric import Metric, metric_of
from .paired import holm, people_of, wilcoxon_p_of_people

PROTOCOL = ["dataset", "backbone", "persons", "seen"]
GROUP = [*PROTOCOL, "method", "control", "budget"]
_PAIR = [*PROTOCOL, "seed", "identity", "budget"]
# Differences to the full network's score that still count as equal to it: 1 or 3 hundredths worse.
_TOLERANCES = {"1": 0.01, "3": 0.03}
_CONTROLS = ("population", "other", "twin", "swap")


def summarize(table: pd.DataFrame, reference: str = "ppp") -> pd.DataFrame:
    """Return `summary.csv`: means, 95 % intervals, and the `reference` method minus every other one.

    `n` counts different persons and seeds, and `people` different people (or subsets of classes).

    `reference_minus_this` is the mean paired difference of the reference, with the person's own samples, to this row
    on the same persons, seeds and budget. A reference that does not prune is compared at its only budget. `wilcoxon_p`
    is the two-sided p-value of the difference, given the networks of these seeds. `holm_p` is corrected for a family of
    `holm_tests` tests: all methods and controls compared on the same persons at the same budget. These columns are
    empty for the reference itself, and for budgets that it lacks.

    ```python
    summarize(pd.read_csv("results/digits/table.csv.gz", keep_default_na=False), reference="ppp")
    ```
    """
    table = table.reset_index(drop=True)  # differences are matched with their rows by the index
    metric = metric_of(table)
    means = [name for name in table.columns if name not in (*GROUP, *ABOUT, "seed", "identity", "shots", "score")]
    to_reference = _differences(table.query("method == @reference and control in ('', 'own')"), table)
    rows = []
    for key, group in iterate_groups(table, GROUP):
        row = key | count_people(group) | mean_of("score", group, metric.limits) | group[means].mean().to_dict()
        if row["method"] != reference or row["control"] not in ("", "own"):
            differences = to_reference.loc[to_reference.index.intersection(group.index)]
            row |= {"reference": reference} | test_differences("reference_minus_this", differences, metric)
        rows.append(row)
    score = ["metric", "n", "people", *interval_columns("score")]
    difference = ["reference", *interval_columns("reference_minus_this"), "wilcoxon_p"]
    frame = pd.DataFrame(rows, columns=[*GROUP, *score, *means, *difference]).assign(metric=metric.name)
    return with_holm(frame, [*PROTOCOL, "budget"])


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """Return `curves.csv`: one row over all budgets per pruning method. A method that lacks a budget is left out.

    - `area`: the mean score over the range of MACs from the least to the largest budget, by the trapezoid rule.
    - `macs_within_1`, `macs_within_3`: the least fraction of the MACs with a mean score at most 0.01 or 0.03 worse than
      that of the full network on the same persons, interpolated between budgets. It is never below the MACs of the
      least budget. It is 1 if no budget suffices, since the full network always does. The ends of its interval are the
      MACs at which the upper and the lower end of the difference's interval reach the same tolerance.
    """
    rows, metric = [], metric_of(table)
    pruned = table.query("budget < 1")
    budgets = pruned.groupby(PROTOCOL)["budget"].transform("nunique")  # counted over all methods together
    for key, group in iterate_groups(pruned.assign(budgets=budgets), GROUP[:-1]):
        values = ["score", "score_full", "macs_fraction"]
        persons = group.pivot_table(index=["seed", "identity"], columns="budget", values=values)
        persons = persons.dropna()  # in a part of an experiment, persons may lack a budget
        score, full, each_macs = (np.asarray(persons[name], float) for name in values)  # (N, B)
        if score.shape[1] < max(2, group["budgets"].iloc[0]) or not len(score):
            continue
        macs = each_macs.mean(0)  # (B,)
        if macs[-1] == macs[0]:
            continue
        below, index = metric.sign * (score - full), persons.index.to_frame()
        row = key | count_people(index) | {"budgets": score.shape[1]}
        row |= mean_of("area", index.assign(score=_area(score, macs)), metric.limits)
        low, high = mean_interval(below, index["seed"].tolist(), people_of(index), limits=metric.spread)
        for points, tolerance in _TOLERANCES.items():
            ends = {"": below.mean(0), "_low": high, "_high": low}
            row |= {f"macs_within_{points}{end}": _reached(each, macs, tolerance) for end, each in ends.items()}
        rows.append(row)
    measured = interval_columns("area", "macs_within_1", "macs_within_3")
    frame = pd.DataFrame(rows, columns=[*GROUP[:-1], "metric", "n", "people", "budgets", *measured])
    return frame.assign(metric=metric.name)


def gains(table: pd.DataFrame, reference: str = "ppp") -> pd.DataFrame:
    """Return `gains.csv`: how much higher the person's own samples make a method's score than those of a control.

    The controls (`against`) are samples of everybody (`population`), of another person and that person's classes
    (`other`), of another person with the same classes (`twin`, which isolates who the person is), and of the same
    person with other classes (`swap`, which isolates the classes).

    `gain` is the mean paired difference in score over persons and seeds, with its interval and `wilcoxon_p`.
    `holm_p` is corrected for a family of `holm_tests` tests: all methods, budgets and controls on the same persons.
    `reference_gain_minus_this` is how much more the same persons gain with the `reference` method, with its interval.
    It is empty for the reference itself, and for budgets or controls that the reference lacks.
    """
    metric, place = metric_of(table), [*GROUP[:-2], "budget", "against"]
    table = table.reset_index(drop=True)
    own = table.query("control == 'own'")
    gained = pd.concat(
        [_differences(own, table.query("control == @name"), "method").assign(against=name) for name in _CONTROLS]
    )
    reference_gains = _differences(gained.query("method == @reference"), gained, "against")
    by_key = dict(list(gained.groupby(place, sort=False)))
    rows = []
    for names, group in iterate_groups(own, place[:-1]):
        for control in _CONTROLS:
            key = names | {"against": control}
            differences = by_key.get(tuple(key.values()))
            if differences is None:
                continue
            row = key | count_people(group) | test_differences("gain", differences, metric)
            advantages = reference_gains.loc[reference_gains.index.intersection(differences.index)]
            if key["method"] != reference and len(advantages):
                limits = (2 * metric.spread[0], 2 * metric.spread[1])
                row |= {"reference": reference} | mean_of("reference_gain_minus_this", advantages, limits)
            rows.append(row)
    measured = [*interval_columns("gain"), "wilcoxon_p", "reference", *interval_columns("reference_gain_minus_this")]
    columns = [*GROUP[:-2], "budget", "against", "metric", "n", "people", *measured]
    return with_holm(pd.DataFrame(rows, columns=columns).assign(metric=metric.name), PROTOCOL)


def iterate_groups(table: pd.DataFrame, names: list[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield the values of the columns `names` and the rows of each group."""
    for key, group in table.groupby(names, sort=False):
        assert isinstance(key, tuple)
        yield dict(zip(names, key, strict=True)), group


def interval_columns(*names: str) -> list[str]:
    """Return the columns of means and of the ends of their intervals.

    >>> interval_columns("score")
    ['score', 'score_low', 'score_high']
    """
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


def count_people(group: pd.DataFrame) -> dict[str, int]:
    """Return `n`, the number of different persons and seeds, and `people`, the number of different people."""
    persons = group.drop_duplicates(["seed", "identity"])
    return {"n": len(persons), "people": len(set(people_of(persons)))}


def mean_of(name: str, rows: pd.DataFrame, limits: tuple[float, float]) -> dict[str, float]:
    """Return the mean score of the rows and its interval, as the columns `<name>`, `<name>_low`, `<name>_high`."""
    values = rows["score"].to_numpy(float)
    low, high = mean_interval(values, rows["seed"].tolist(), people_of(rows), limits=limits)
    return {name: float(values.mean()), f"{name}_low": float(low), f"{name}_high": float(high)}


def _differences(one: pd.DataFrame, other: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Return the rows of `other` whose person is also in `one`, with the difference `one - other` as their score.

    If `one` does not prune, it is compared with all budgets of `other`. `names` are further columns that must agree.
    """
    prunes = bool((one["budget"].to_numpy() < 1).any())
    keys = [*names, *(name for name in _PAIR if name != "budget" or prunes)]
    score = other[keys].merge(one[[*keys, "score"]], on=keys, how="left")["score"].to_numpy()
    return other.assign(score=score - other["score"]).dropna(subset=["score"])


def test_differences(name: str, differences: pd.DataFrame, metric: Metric) -> dict[str, float]:
    """Return the mean of paired differences, its interval and `wilcoxon_p`; empty if there are no rows."""
    if not len(differences):
        return {}
    p_value = wilcoxon_p_of_people(differences, "score")
    return mean_of(name, differences, metric.spread) | {"wilcoxon_p": p_value}


def _area(score: np.ndarray, macs: np.ndarray) -> np.ndarray:
    """Return the mean score over the range of MACs, `(N, B)` to `(N,)`."""
    return np.trapezoid(score, macs, axis=-1) / (macs[-1] - macs[0])


def _reached(below: np.ndarray, macs: np.ndarray, tolerance: float) -> float:
    """Return the least MACs at which `below`, `(B,)`, is at least `-tolerance`; 1 if it never is."""
    if np.isnan(below).any():
        return np.nan
    enough = np.flatnonzero(below + tolerance >= -1e-12)
    if not len(enough):
        return 1.0
    right = int(enough[0])
    if right == 0:
        return float(macs[0])
    share = (-tolerance - below[right - 1]) / (below[right] - below[right - 1])
    return float(macs[right - 1] + share * (macs[right] - macs[right - 1]))


def with_holm(frame: pd.DataFrame, family: list[str]) -> pd.DataFrame:
    """Add the columns `holm_p` and `holm_tests`, the number of tests in its family."""
    frame["holm_p"] = frame["holm_tests"] = np.nan
    for _, group in frame.groupby(family, sort=False):
        tested = group.dropna(subset=["wilcoxon_p"]).index
        frame.loc[group.index, "holm_p"] = holm(group["wilcoxon_p"].tolist())
        frame.loc[tested, "holm_tests"] = len(tested)
    return frame

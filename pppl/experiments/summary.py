"""Tables that a comparison's `table.csv` comes to, with intervals over persons and seeds on every mean."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..paired import holm, people_of, wilcoxon_p
from .results import write_table
from .statistics import bootstrap_interval, interval_of, resampled_means

_PROTOCOL = ["dataset", "backbone", "persons", "seen"]
GROUP = [*_PROTOCOL, "method", "control", "budget"]
_PAIR = [*_PROTOCOL, "seed", "identity", "budget"]
# Points below the full network's accuracy that count as equal to it.
_TOLERANCES = {"1": 0.01, "3": 0.03}
# What `write_tables` writes.
TABLES = ("table.csv", "summary.csv", "curves.csv", "gains.csv")
_CONTROLS = ("population", "other")


def write_tables(folder: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Writes `table.csv` and what follows from it, and returns `summary.csv`."""
    tables = tables_of(table)
    write_table(folder / "table.csv", table)
    for name, frame in tables.items():
        write_table(folder / name, frame)
    return tables["summary.csv"]


def tables_of(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What follows from `table.csv`, by the name of the file."""
    return {"summary.csv": summarize(table), "curves.csv": curves(table), "gains.csv": gains(table)}


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """`summary.csv`: means, 95 % intervals, and `ppp` own against everything else.

    `n` counts rows, `people` how many different people (or subsets of classes) they are of.

    `ppp_minus_this` is the mean paired difference to `ppp` with the own prototype on the same persons, seeds and
    budget, with its interval, `wilcoxon_p` its two-sided p-value (given the networks of these seeds), and `holm_p` that
    corrected for the number of such tests on the same persons and budget; all are empty for `ppp` own itself and where
    no `ppp` row has this budget.
    """
    means = [c for c in table.columns if c not in (*GROUP, "seed", "identity", "shots", "accuracy")]
    reference = table.query("method == 'ppp' and control == 'own'")
    rows = []
    for key, group in _groups(table, GROUP):
        row = key | _counts(group) | _mean("accuracy", group) | group[means].mean().to_dict()
        if (row["method"], row["control"]) != ("ppp", "own"):
            row |= _tested("ppp_minus_this", _differences(reference, group))
        rows.append(row)
    accuracy = ["n", "people", *_with_interval("accuracy")]
    difference = [*_with_interval("ppp_minus_this"), "wilcoxon_p"]
    return _corrected(pd.DataFrame(rows, columns=[*GROUP, *accuracy, *means, *difference]), [*_PROTOCOL, "budget"])


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """`curves.csv`: what a method that prunes comes to over all budgets; one that lacks some of them is left out.

    - `area`: mean accuracy over the range of MACs between the least and the largest budget, by the trapezoid rule.
    - `macs_within_1`, `macs_within_3`: the least fraction of the MACs at which mean accuracy is no more than 1 or 3
      points below the full network's on the same persons, interpolated between budgets. It is no less than the MACs of
      the least budget, and 1 where no budget suffices, since the full network itself does.
    """
    rows = []
    pruned = table.query("budget < 1")
    budgets = pruned.groupby(_PROTOCOL)["budget"].transform("nunique")  # of all methods together
    for key, group in _groups(pruned.assign(budgets=budgets), GROUP[:-1]):
        values = ["accuracy", "accuracy_full", "macs_fraction"]
        persons = group.pivot_table(index=["seed", "identity"], columns="budget", values=values)
        persons = persons.dropna()  # of those who lack a budget, as parts of an experiment may
        accuracy, full, each_macs = (np.asarray(persons[name], float) for name in values)  # (N, B)
        if accuracy.shape[1] < max(2, group["budgets"].iloc[0]) or not len(accuracy):
            continue
        macs = each_macs.mean(0)  # (B,)
        if macs[-1] == macs[0]:
            continue
        below, index = accuracy - full, persons.index.to_frame()
        draws = resampled_means(np.stack([accuracy, below], 2), index["seed"].tolist(), people_of(index))  # (R, B, 2)
        row = key | _counts(index) | {"budgets": accuracy.shape[1], "area": _area(accuracy.mean(0), macs)}
        row |= interval_of("area", _area(draws[:, :, 0], macs))
        for points, tolerance in _TOLERANCES.items():
            name = f"macs_within_{points}"
            row |= {name: float(_reached(below.mean(0), macs, tolerance))}
            row |= interval_of(name, _reached(draws[:, :, 1], macs, tolerance))
        rows.append(row)
    measured = _with_interval("area", "macs_within_1", "macs_within_3")
    return pd.DataFrame(rows, columns=[*GROUP[:-1], "n", "people", "budgets", *measured])


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """`gains.csv`: how much better own samples serve than everybody's (`population`) or somebody else's (`other`).

    `gain` is the mean paired difference in accuracy over persons and seeds, with its interval, `wilcoxon_p` and
    `holm_p`, corrected for the number of such tests on the same persons. `ppp_gain_minus_this` is how much more the
    same persons gain with `ppp`, with its interval; empty for `ppp` itself and where it has no such budget.
    """
    of_row: list[tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]] = []
    for key, group in _groups(table.query("control in @_CONTROLS or control == 'own'"), [*GROUP[:-2], "budget"]):
        of_control = dict(list(group.groupby("control")))
        for control in _CONTROLS:
            if {"own", control} <= of_control.keys():
                own = of_control["own"]
                of_row.append((key | {"against": control}, own, _differences(own, of_control[control])))
    place = [*_PROTOCOL, "budget", "against"]
    of_ppp = {tuple(key[name] for name in place): each for key, _, each in of_row if key["method"] == "ppp"}
    rows = []
    for key, own, each in of_row:
        row = key | _counts(own) | _tested("gain", each)
        ppp = of_ppp.get(tuple(key[name] for name in place))
        if key["method"] != "ppp" and ppp is not None and len(more := _differences(ppp, each)):
            row |= _mean("ppp_gain_minus_this", more)
        rows.append(row)
    measured = [*_with_interval("gain"), "wilcoxon_p", *_with_interval("ppp_gain_minus_this")]
    columns = [*GROUP[:-2], "budget", "against", "n", "people", *measured]
    return _corrected(pd.DataFrame(rows, columns=columns), _PROTOCOL)


def _groups(table: pd.DataFrame, names: list[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    for key, group in table.groupby(names, sort=False):
        assert isinstance(key, tuple)
        yield dict(zip(names, key, strict=True)), group


def _with_interval(*names: str) -> list[str]:
    """Columns of means and the ends of their intervals."""
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


def _counts(group: pd.DataFrame) -> dict[str, int]:
    persons = group.drop_duplicates(["seed", "identity"])
    return {"n": len(persons), "people": len(set(people_of(persons)))}


def _mean(name: str, rows: pd.DataFrame) -> dict[str, float]:
    values = rows["accuracy"].tolist()
    low, high = bootstrap_interval(values, rows["seed"].tolist(), people_of(rows))
    return {name: float(np.mean(values)), f"{name}_low": low, f"{name}_high": high}


def _differences(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The first's accuracy less the other's on the same persons, as `accuracy`; no rows where they share none."""
    both = one.merge(other[[*_PAIR, "accuracy"]], on=_PAIR, suffixes=("", "_other"))
    return both[_PAIR].assign(accuracy=both["accuracy"] - both["accuracy_other"])


def _tested(name: str, differences: pd.DataFrame) -> dict[str, float]:
    """Their mean, its interval and p-value; nothing of no rows."""
    if not len(differences):
        return {}
    # One difference for each person: neither their words nor several networks make independent people of one.
    each = differences.assign(who=people_of(differences)).groupby("who")["accuracy"]
    p_value = wilcoxon_p([float(np.mean(values)) for _, values in each])
    return _mean(name, differences) | {"wilcoxon_p": p_value}


def _area(accuracy: np.ndarray, macs: np.ndarray) -> Any:
    """Over the last axis, `(..., B)` to `(...)`."""
    return np.trapezoid(accuracy, macs, axis=-1) / (macs[-1] - macs[0])


def _reached(below: np.ndarray, macs: np.ndarray, tolerance: float) -> np.ndarray:
    """The least MACs at which `below`, `(..., B)`, is no less than -tolerance; 1 where it nowhere is."""
    enough = below + tolerance >= -1e-12
    result = np.where(enough[..., 0], macs[0], 1.0)
    open_ = ~enough[..., 0]
    for left, right in zip(range(len(macs) - 1), range(1, len(macs)), strict=True):
        crosses = open_ & enough[..., right]
        rise = np.where(crosses, below[..., right] - below[..., left], 1.0)
        share = (-tolerance - below[..., left]) / rise
        result = np.where(crosses, macs[left] + share * (macs[right] - macs[left]), result)
        open_ &= ~enough[..., right]
    return result


def _corrected(frame: pd.DataFrame, family: list[str]) -> pd.DataFrame:
    """With a column `holm_p`."""
    frame["holm_p"] = np.nan
    for _, group in frame.groupby(family, sort=False):
        frame.loc[group.index, "holm_p"] = holm(group["wilcoxon_p"].tolist())
    return frame

"""Paired tests over people: what tables and figures call significant."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def wilcoxon_p(differences: Sequence[float]) -> float:
    """Return the exact two-sided p-value of the Wilcoxon signed-rank test on paired differences.

    Zeros say nothing of a direction and are left out; 1 where nothing else is there. Differences count as equal to 6
    decimals: those of fractions differ in their last bits, which is no rank. The null distribution is that of the ranks
    at hand, ties included, over all assignments of signs (scipy's exact method knows no ties).

    ```python
    wilcoxon_p([0.1, 0.1, 0.1, 0.1])  # 0.125: 2 of the 16 assignments are as extreme
    ```
    """
    from scipy import stats

    array = np.round(np.asarray(differences, float), 6)
    array = array[array != 0]
    ranks = np.rint(2 * stats.rankdata(np.abs(array))).astype(int)  # twice, so that those of ties are whole numbers
    chances = np.ones(1)  # of each sum of the ranks with a positive sign
    for rank in ranks:
        chances = (np.append(chances, np.zeros(rank)) + np.append(np.zeros(rank), chances)) / 2
    positive = int(ranks[array > 0].sum())
    return float(min(1, 2 * min(chances[: positive + 1].sum(), chances[positive:].sum())))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number, so that all claims of a family hold together (Holm 1979).

    NaN stands for no test and stays; it counts for nothing.
    """
    array = np.asarray(p_values, float)
    order = np.argsort(array)  # NaN comes last
    count = int(np.count_nonzero(~np.isnan(array)))
    corrected = np.full(len(array), np.nan)
    ascending = array[order[:count]] * np.arange(count, 0, -1)
    corrected[order[:count]] = np.minimum(1, np.maximum.accumulate(ascending))
    return corrected.tolist()


def wilcoxon_p_of_people(rows: pd.DataFrame, name: str) -> float:
    """Return `wilcoxon_p` of a column's differences, one for each person: neither words of one person nor several
    networks make independent people of one.
    """
    each: Any = rows.assign(who=people_of(rows)).groupby("who")[name]
    return wilcoxon_p(each.mean().tolist())


def people_of(rows: pd.DataFrame) -> list[str]:
    """Return whose each row is: the identity `speaker:words` is that speaker, a subset of classes is itself."""
    return [str(identity).partition(":")[0] for identity in rows["identity"]]

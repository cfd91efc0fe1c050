"""Paired tests over people: what tables and figures call significant."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def wilcoxon_p(differences: Sequence[float]) -> float:
    """Two-sided p-value of the Wilcoxon signed-rank test on paired differences; 1 where all are zero.

    Differences count as equal to 6 decimals: those of fractions differ in their last bits, which is no rank.
    """
    from scipy import stats

    array = np.round(np.asarray(differences, float), 6)
    return 1.0 if not array.any() else stats.wilcoxon(array).pvalue  # pyright: ignore[reportAttributeAccessIssue] (a named tuple)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, so that all claims of a family hold together (Holm 1979).

    NaN stands for no test and stays; it counts for nothing.
    """
    array = np.asarray(p_values, float)
    order = np.argsort(array)  # NaN comes last
    count = int(np.count_nonzero(~np.isnan(array)))
    corrected = np.full(len(array), np.nan)
    ascending = array[order[:count]] * np.arange(count, 0, -1)
    corrected[order[:count]] = np.minimum(1, np.maximum.accumulate(ascending))
    return corrected.tolist()


def people_of(rows: pd.DataFrame) -> list[str]:
    """Whose each row is: the identity `speaker:words` is that speaker, a subset of classes is itself."""
    return [str(identity).partition(":")[0] for identity in rows["identity"]]

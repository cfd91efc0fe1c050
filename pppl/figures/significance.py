"""Significance: the best of several methods, if it is better than the next by more than chance."""

from collections.abc import Mapping

import pandas as pd

from ..tables.metric import metric_of
from ..tables.paired import holm, wilcoxon_p_of_people

LEVEL = 0.05
_PAIR = ["seed", "identity"]


def clear_best(rows: Mapping[str, pd.DataFrame]) -> str | None:
    """Return the name of the rows with the best mean score, if they are significantly better than the next.

    The best is tested against each of the others on the same persons and seeds (`p_value`). The p-values are corrected
    for their number (Holm 1979). The one against the next best must be below 0.05.

    >>> persons = {"seed": 0, "identity": [*"abcdefgh"]}
    >>> clear_best({name: pd.DataFrame(persons | {"score": value}) for name, value in (("l1", 0.8), ("ppp", 0.9))})
    'ppp'

    **Arguments:**

    - `rows`: of `table.csv.gz` for one protocol and budget, by name: the columns `seed`, `identity` and `score`.

    **Returns:** None if there is only one name, or the best two do not differ significantly.
    """
    means = {name: metric_of(each).sign * float(each["score"].to_numpy(float).mean()) for name, each in rows.items()}
    best, *others = sorted(means, key=lambda name: -means[name])
    if not others:
        return None
    corrected = holm([p_value(rows[best], rows[other]) for other in others])
    return best if corrected[0] < LEVEL else None


def p_value(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """Return the p-value of paired differences in score; each person counts once, over all seeds."""
    both: pd.DataFrame = one[[*_PAIR, "score"]].merge(other[[*_PAIR, "score"]], on=_PAIR, suffixes=("", "_other"))
    return wilcoxon_p_of_people(both.assign(less=both["score"] - both["score_other"]), "less")

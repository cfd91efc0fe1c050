"""Whether the best of several methods is better than the next by more than chance."""

from collections.abc import Mapping

import pandas as pd

from ..tables.paired import holm, wilcoxon_p_of_people

LEVEL = 0.05
_PAIR = ["seed", "identity"]


def clear_best(rows: Mapping[str, pd.DataFrame]) -> str | None:
    """The name of the rows with the highest mean accuracy, if they are significantly better than those that are next.

    The best is tested against each of the others on the same persons and seeds (`p_value`); the p-values are corrected
    for their number (Holm 1979), and that against the next one must be below 0.05.

    **Arguments:**

    - `rows`: by name, of `table.csv` for one protocol and budget: the columns `seed`, `identity` and `accuracy`.

    **Returns:** nothing where there is only one, or the first two are not told apart.
    """
    means = {name: float(each["accuracy"].to_numpy(float).mean()) for name, each in rows.items()}
    best, *others = sorted(means, key=lambda name: -means[name])
    if not others:
        return None
    corrected = holm([p_value(rows[best], rows[other]) for other in others])
    return best if corrected[0] < LEVEL else None


def p_value(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """Return the p-value of differences in accuracy on the same persons and seeds, one difference for each person."""
    both: pd.DataFrame = one[[*_PAIR, "accuracy"]].merge(other[[*_PAIR, "accuracy"]], on=_PAIR, suffixes=("", "_other"))
    return wilcoxon_p_of_people(both.assign(less=both["accuracy"] - both["accuracy_other"]), "less")

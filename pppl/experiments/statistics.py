"""Intervals and paired tests over persons and seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

GROUP = ["dataset", "backbone", "persons", "seen", "method", "control", "budget"]
_PAIR = ["dataset", "backbone", "persons", "seen", "seed", "identity", "budget"]
_RESAMPLES = 2000


def bootstrap_interval(
    values: Sequence[float], strata: Sequence[int], people: Sequence[str] | None = None, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of the mean, from a stratified cluster bootstrap in two stages.

    Seeds are resampled, since each has its own networks, and within each seed (the stratum) people, each with all
    their rows: a speaker's words are no independent speakers. With one seed it is the ordinary bootstrap over people.
    With few seeds the interval is on the narrow side, as any cluster bootstrap is (Davison and Hinkley 1997, section
    3.8).

    **Arguments:**

    - `values`: one accuracy per person and seed.
    - `strata`: the seed of each value.
    - `people`: whose each value is; by default everybody is somebody else.
    """
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"value": values, "seed": strata})
    frame["who"] = range(len(frame)) if people is None else list(people)
    each = frame.groupby(["seed", "who"], sort=False)["value"].agg(["sum", "count"]).groupby("seed")
    groups = [group.to_numpy(float) for _, group in each]  # per seed (people, 2)
    # Totals and counts of resampled people for every stratum, then a draw of strata.
    drawn = [g[rng.integers(len(g), size=(_RESAMPLES, len(g)))].sum(1) for g in groups * len(groups)]
    table = np.stack(drawn, 1).reshape(_RESAMPLES, len(groups), len(groups), 2)  # (R, draw, seed, 2)
    choice = rng.integers(len(groups), size=(_RESAMPLES, len(groups)))  # (R, draw)
    chosen = np.take_along_axis(table, choice[:, :, None, None], axis=2)[:, :, 0].sum(1)  # (R, 2)
    low, high = np.quantile(chosen[:, 0] / chosen[:, 1], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilcoxon_p(differences: Sequence[float]) -> float:
    """Two-sided p-value of the Wilcoxon signed-rank test on paired differences; 1 where all are zero."""
    array = np.asarray(differences, float)
    return 1.0 if not array.any() else stats.wilcoxon(array).pvalue  # pyright: ignore[reportAttributeAccessIssue] (a named tuple)


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """`summary.csv` of a table: means, 95 % intervals, and `ppp` own against everything else.

    `n` counts rows, `people` how many different people (or subsets of classes) they are of.

    `ppp_minus_this` is the mean paired difference to `ppp` with the own prototype on the same persons, seeds and
    budget, and `wilcoxon_p` its two-sided p-value (uncorrected, given the networks of these seeds); both are empty for
    `ppp` own itself and where no `ppp` row has this budget.
    """
    means = [c for c in table.columns if c not in (*GROUP, "seed", "identity", "shots", "accuracy")]
    reference = table[(table["method"] == "ppp") & (table["control"] == "own")].set_index(_PAIR)["accuracy"]
    rows = []
    for key, group in table.groupby(GROUP, sort=False):
        assert isinstance(key, tuple)
        people = group["identity"].str.partition(":")[0]  # `speaker:words` is that speaker
        low, high = bootstrap_interval(group["accuracy"].tolist(), group["seed"].tolist(), people.tolist())
        row = dict(zip(GROUP, key, strict=True)) | {
            "n": len(group),
            "people": people.nunique(),
            "accuracy": group["accuracy"].mean(),
            "accuracy_low": low,
            "accuracy_high": high,
            **group[means].mean().to_dict(),
        }
        if (row["method"], row["control"]) != ("ppp", "own"):
            paired = (reference - group.set_index(_PAIR)["accuracy"]).dropna()
            if len(paired):
                row |= {"ppp_minus_this": paired.mean(), "wilcoxon_p": wilcoxon_p(paired.tolist())}
        rows.append(row)
    columns = [
        *GROUP,
        "n",
        "people",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        *means,
        "ppp_minus_this",
        "wilcoxon_p",
    ]
    return pd.DataFrame(rows, columns=columns)

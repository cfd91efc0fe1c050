import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pppl.experiments.results import COLUMNS
from pppl.experiments.statistics import bootstrap_interval, summarize, wilcoxon_p


def test_with_one_seed_it_is_scipys_bootstrap_over_persons():
    values = np.random.default_rng(1).beta(8, 2, 40)
    low, high = bootstrap_interval(values.tolist(), [0] * 40)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=0).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.005)


def test_the_variance_is_that_of_both_stages():
    rng = np.random.default_rng(2)
    seeds = np.repeat(np.arange(5), 30)
    values = rng.normal(0, 1, 5)[seeds] + rng.normal(0, 1, 150)
    groups = [values[seeds == s] for s in range(5)]
    between = np.var([g.mean() for g in groups]) / 5
    within = np.mean([g.var() / 30 for g in groups]) / 5
    low, high = bootstrap_interval(values.tolist(), seeds.tolist())
    assert (high - low) / (2 * 1.96) == pytest.approx(np.sqrt(between + within), rel=0.1)
    only_persons = np.sqrt(within) * 2 * 1.96
    assert high - low > 2 * only_persons, "networks differ too, not only persons"


def test_equal_values_have_no_width():
    assert bootstrap_interval([0.5] * 10, [0, 1] * 5) == (0.5, 0.5)


def test_wilcoxon_is_scipys_and_survives_ties():
    differences = np.random.default_rng(0).normal(0.3, 1, 30)
    assert wilcoxon_p(differences.tolist()) == stats.wilcoxon(differences).pvalue
    assert wilcoxon_p([0.0, 0.0, 0.0]) == 1.0


def _table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for seed in (0, 1):
        for person in range(10):
            for method, control, budget, gain in (
                ("ppp", "own", 0.1, 0.3),
                ("ppp", "other", 0.1, 0.0),
                ("l1", "", 0.1, 0.1),
                ("full", "", 1.0, 0.5),
            ):
                row = dict.fromkeys(COLUMNS, 1.0) | {
                    "dataset": "d", "backbone": "b", "persons": "2 classes", "seen": True, "method": method,
                    "control": control, "budget": budget, "seed": seed, "identity": f"p{person}", "shots": 5,
                    "accuracy": 0.4 + gain + 0.01 * rng.random(),
                }  # fmt: skip
                rows.append(row)
    return pd.DataFrame(rows).sample(frac=1, random_state=0)  # pairing must not hang on the order


def test_the_summary_pairs_persons():
    table = _table()
    summary = summarize(table).set_index(["method", "control"])
    assert summary["n"].tolist() == [20] * 4
    paired = table.pivot_table(index=["seed", "identity"], columns=["method", "control"], values="accuracy")
    differences = paired["ppp", "own"] - paired["l1", ""]
    row = summary.loc[("l1", "")]
    assert row["ppp_minus_this"] == pytest.approx(differences.mean())
    assert row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
    assert np.isnan(summary.loc[("ppp", "own"), "wilcoxon_p"])
    assert np.isnan(summary.loc[("full", ""), "wilcoxon_p"]), "no ppp row has this budget"


def test_the_words_of_a_speaker_are_resampled_together():
    """Six speakers with ten identical rows each say no more than six rows."""
    rng = np.random.default_rng(0)
    accuracies = rng.random(6)
    alone = bootstrap_interval(accuracies.tolist(), [0] * 6)
    rows, speakers = np.repeat(accuracies, 10).tolist(), np.repeat(np.arange(6), 10).astype(str).tolist()
    assert bootstrap_interval(rows, [0] * 60, speakers) == pytest.approx(alone)
    low, high = bootstrap_interval(rows, [0] * 60)
    assert high - low < 0.6 * (alone[1] - alone[0]), "as if they were sixty"


def test_the_summary_counts_people():
    keys = {"dataset": "d", "backbone": "b", "persons": "person+2 classes", "seen": True, "budget": 0.1, "shots": 5}
    rows = [
        {**keys, "method": "ppp", "control": "own", "seed": 0, "identity": f"{who}:{words}", "accuracy": 0.5}
        for who in ("ann", "bob")
        for words in ("a+b", "a+c", "b+c")
    ]
    (row,) = summarize(pd.DataFrame(rows)).to_dict("records")
    assert (row["n"], row["people"]) == (6, 2)

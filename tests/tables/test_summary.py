import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pppl.tables.intervals import mean_interval
from pppl.tables.journal import COLUMNS
from pppl.tables.paired import holm
from pppl.tables.summary import curves, gains, summarize

_FIXED = {"dataset": "d", "backbone": "b", "persons": "2 classes", "seen": True, "shots": 5}


def _row(
    method: str, control: str, budget: float, seed: int, person: object, accuracy: float, full: float = 0.9
) -> dict:
    own = {"method": method, "control": control, "budget": budget, "seed": seed, "identity": f"p{person}"}
    return dict.fromkeys(COLUMNS, 1.0) | _FIXED | own | {
        "score": accuracy,
        "score_full": full,
        "macs_fraction": budget,
    }  # fmt: skip


def _table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    series = (("ppp", "own", 0.1, 0.3), ("ppp", "other", 0.1, 0.0), ("l1", "", 0.1, 0.1), ("full", "", 1.0, 0.5))
    rows = [
        _row(method, control, budget, seed, person, 0.4 + gain + 0.01 * rng.random())
        for seed in (0, 1)
        for person in range(10)
        for method, control, budget, gain in series
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)  # pairing must not hang on the order


def _paired(table: pd.DataFrame) -> pd.DataFrame:
    return table.pivot_table(index=["seed", "identity"], columns=["method", "control"], values="score")


def test_the_summary_pairs_persons():
    table = _table()
    summary = summarize(table).set_index(["method", "control"])
    assert summary["n"].tolist() == [20] * 4
    paired = _paired(table)
    differences = paired["ppp", "own"] - paired["l1", ""]
    row = summary.loc[("l1", "")]
    assert row["reference_minus_this"] == pytest.approx(differences.mean())
    seeds, people = (differences.index.get_level_values(name).tolist() for name in ("seed", "identity"))
    interval = mean_interval(differences.to_numpy(), seeds, people)
    assert (row["reference_minus_this_low"], row["reference_minus_this_high"]) == pytest.approx(interval, abs=2e-4)
    of_person = differences.groupby("identity").mean()
    assert len(of_person) == 10, "who comes back with another seed is one person"
    assert row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(of_person).pvalue)
    assert row["score_low"] <= row["score"] <= row["score_high"]
    tested = summary.loc[[("l1", ""), ("ppp", "other")]]
    assert tested["holm_p"].tolist() == pytest.approx(holm(tested["wilcoxon_p"].tolist()))
    for row in (summary.loc[("ppp", "own")], summary.loc[("full", "")]):  # itself, and a budget without ppp
        assert row[["reference_minus_this", "reference_minus_this_low", "wilcoxon_p", "holm_p"]].isna().all()


def test_the_reference_is_any_method_and_one_that_does_not_prune_meets_every_budget():
    table = _table()
    paired = _paired(table)
    of_l1 = summarize(table, "l1").set_index(["method", "control"])
    assert of_l1.loc[("ppp", "own"), "reference_minus_this"] == pytest.approx(
        (paired["l1", ""] - paired["ppp", "own"]).mean()
    )
    assert np.isnan(of_l1.loc[("l1", ""), "reference_minus_this"])
    of_full = summarize(table, "full").set_index(["method", "control"])
    rows = of_full.drop(index=("full", ""))
    expected = [(paired["full", ""] - paired[name]).mean() for name in rows.index]
    assert rows["reference_minus_this"].tolist() == pytest.approx(expected)
    assert rows["reference"].tolist() == ["full"] * 3
    assert rows["holm_tests"].tolist() == [3] * 3, "one family: all that is compared on these persons at this budget"
    assert summarize(table, "ocap")["reference_minus_this"].isna().all(), "which is not there"


def test_the_summary_counts_people():
    rows = [
        _FIXED
        | {"method": "ppp", "control": "own", "budget": 0.1, "seed": 0, "identity": f"{who}:{words}", "score": 0.5}
        for who in ("ann", "bob")
        for words in ("a+b", "a+c", "b+c")
    ]
    (row,) = summarize(pd.DataFrame(rows)).to_dict("records")
    assert (row["n"], row["people"]) == (6, 2)


def _curve(accuracies: dict[float, float], *, noise: float = 0.0) -> dict:
    rng = np.random.default_rng(0)
    rows = [
        _row("l1", "", budget, seed, person, accuracy + noise * rng.standard_normal())
        for seed in (0, 1, 2)
        for person in range(20)
        for budget, accuracy in accuracies.items()
    ]
    rows += [_row("full", "", 1.0, 0, person, 0.9) for person in range(20)]
    (row,) = curves(pd.DataFrame(rows).sample(frac=1, random_state=0)).to_dict("records")
    return row


def test_area_is_the_mean_accuracy_over_the_range_of_macs():
    assert _curve({0.1: 0.5, 0.2: 0.5, 0.5: 0.5})["area"] == pytest.approx(0.5)
    row = _curve({0.1: 0.2, 0.2: 0.6, 0.5: 0.8})
    assert row["area"] == pytest.approx((0.1 * 0.4 + 0.3 * 0.7) / 0.4)
    assert (row["n"], row["people"], row["budgets"]) == (60, 20, 3)


def test_the_least_macs_are_where_the_curve_comes_within_reach_of_the_full_network():
    row = _curve({0.1: 0.5, 0.2: 0.85, 0.5: 0.9})
    assert row["macs_within_3"] == pytest.approx(0.2 + 0.3 * 0.02 / 0.05)
    assert row["macs_within_1"] == pytest.approx(0.2 + 0.3 * 0.04 / 0.05)
    assert row["macs_within_1_low"] == pytest.approx(row["macs_within_1_high"])  # all persons are alike
    assert _curve({0.1: 0.895, 0.2: 0.5})["macs_within_1"] == pytest.approx(0.1), "the first time counts"
    row = _curve({0.1: 0.5, 0.5: 0.88})
    assert row["macs_within_1"] == row["macs_within_1_low"] == 1, "only the full network itself suffices"
    assert row["macs_within_3"] < 0.5


def test_the_interval_of_the_least_macs_has_the_spread_of_persons():
    row = _curve({0.1: 0.6, 0.2: 0.8, 0.5: 0.95}, noise=0.05)
    assert row["macs_within_3_low"] < row["macs_within_3"] < row["macs_within_3_high"]
    assert row["area_low"] < row["area"] < row["area_high"]
    assert row["area_high"] - row["area_low"] < 0.05


def test_who_lacks_a_budget_is_in_no_curve():
    rows = [_row("l1", "", budget, 0, person, 0.5 + budget) for person in range(3) for budget in (0.1, 0.3)]
    rows.append(_row("l1", "", 0.1, 0, 9, 0.0))
    (row,) = curves(pd.DataFrame(rows)).to_dict("records")
    assert (row["n"], row["area"]) == (3, pytest.approx(0.7))
    assert len(curves(pd.DataFrame([rows[0], rows[3]]))) == 0, "two persons with a budget each"


def test_a_method_that_lacks_a_budget_of_others_has_no_curve():
    """Its area would be that over another range, and what it reaches beyond its budgets is not known."""
    points = [("l1", 0.1), ("l1", 0.2), ("l1", 0.5), ("ocap", 0.1), ("ocap", 0.2)]
    table = pd.DataFrame([_row(method, "", budget, 0, p, budget) for p in range(3) for method, budget in points])
    assert curves(table)["method"].tolist() == ["l1"]


def test_one_budget_is_no_curve():
    assert len(curves(_table())) == 0


def test_a_gain_is_personal_where_own_samples_serve_better():
    table = _table()
    (row,) = gains(table).to_dict("records")
    paired = _paired(table)
    differences = paired["ppp", "own"] - paired["ppp", "other"]
    assert (row["method"], row["against"], row["n"]) == ("ppp", "other", 20)
    assert row["gain"] == pytest.approx(differences.mean())
    assert row["gain_low"] < row["gain"] < row["gain_high"]
    of_person = differences.groupby("identity").mean()
    assert row["holm_p"] == row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(of_person).pvalue)
    assert len(gains(table[table["control"] != "other"])) == 0


def test_gains_of_two_methods_are_compared_person_by_person():
    table = _table()
    ablation = table[table["method"] == "ppp"].copy()
    ablation["method"] = "gated"
    own = ablation["control"] == "own"
    ablation.loc[own, "score"] -= 0.05 * ablation.loc[own, "seed"]
    less, ppp = gains(pd.concat([table, ablation])).sort_values("method").to_dict("records")
    assert np.isnan(ppp["reference_gain_minus_this"])
    assert less["reference_gain_minus_this"] == pytest.approx(0.025)
    # 0 for every person of one seed and 0.05 of the other, and both seeds have the same people: two numbers.
    half = stats.t.ppf(0.975, 1) * 0.025
    ends = less["reference_gain_minus_this_low"], less["reference_gain_minus_this_high"]
    assert ends == pytest.approx((0.025 - half, 0.025 + half))
    assert less["reference"] == "ppp"
    assert "reference_gain_minus_this" in gains(ablation), "empty where there is no ppp"


def test_the_words_of_a_speaker_are_no_pairs_of_their_own():
    rng = np.random.default_rng(0)
    shift = dict(zip("abcde", (0.05, 0.01, -0.02, 0.03, 0.02), strict=True))
    rows = []
    for who, gain in shift.items():
        for word in range(12):
            other = float(rng.random()) / 2
            for control, accuracy in (("own", other + gain), ("other", other)):
                rows.append(_row("ppp", control, 0.1, 0, 0, accuracy) | {"identity": f"{who}:{word}"})
    (row,) = gains(pd.DataFrame(rows)).to_dict("records")
    assert (row["n"], row["people"]) == (60, 5)
    assert row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(list(shift.values())).pvalue), "five pairs, not sixty"

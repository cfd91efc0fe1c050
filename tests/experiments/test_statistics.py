import numpy as np
import pytest
from scipy import stats

from pppl.experiments.statistics import bootstrap_interval, resampled_means
from pppl.paired import holm, wilcoxon_p


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


def test_people_who_come_back_with_other_seeds_are_no_new_people():
    """The interval holds the mean as often as it says, where three networks are tried on the same six speakers."""
    rng, held, tries = np.random.default_rng(0), {"known": 0, "new": 0}, 150
    seeds, speakers = np.repeat(np.arange(3), 6).tolist(), np.tile(np.arange(6), 3).astype(str).tolist()
    for _ in range(tries):
        values = (rng.normal(0, 1, 6)[None] + rng.normal(0, 0.5, (3, 6))).ravel().tolist()
        for name, people in (("known", speakers), ("new", None)):
            low, high = bootstrap_interval(values, seeds, people)
            held[name] += low <= 0 <= high
    assert held["known"] / tries > 0.87
    assert held["new"] / tries < 0.8, "taken for eighteen"


def test_a_seed_without_some_of_the_people_counts_those_it_has():
    values, seeds, people = [1.0, 2.0, 3.0, 1.0, 2.0], [0, 0, 0, 1, 1], ["a", "b", "c", "a", "b"]
    draws = resampled_means(values, seeds, people)
    assert draws.min() == 1
    assert draws.max() == 3
    assert draws.mean() == pytest.approx(1.85, abs=0.1)


def test_equal_values_have_no_width():
    assert bootstrap_interval([0.5] * 10, [0, 1] * 5) == (0.5, 0.5)


def test_wilcoxon_is_scipys_and_survives_ties():
    differences = np.random.default_rng(0).normal(0.3, 1, 30)
    assert wilcoxon_p(differences.tolist()) == stats.wilcoxon(np.round(differences, 6)).pvalue
    assert wilcoxon_p([0.0, 0.0, 0.0]) == 1.0


def test_differences_that_are_equal_but_for_their_last_bits_are_ties():
    thirds = [2 / 3 - 1 / 3, 1 - 2 / 3, 0.1 + 0.2 - 0.3, 1 / 3, -1 / 3, 0.5]
    assert len(set(map(abs, thirds))) > 3
    equal = [1 / 3, 1 / 3, 0.0, 1 / 3, -1 / 3, 0.5]
    assert wilcoxon_p(thirds) == stats.wilcoxon(np.round(equal, 6)).pvalue == wilcoxon_p(np.round(thirds, 8).tolist())


def test_holm_corrects_for_the_number_of_tests():
    # Worked by hand: the least times 4, the next times 3, and so on, never falling, at most 1.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    with_gap = holm([0.02, np.nan, 0.01])
    assert with_gap[::2] == pytest.approx([0.02, 0.02])
    assert np.isnan(with_gap[1])


def test_several_numbers_of_a_person_are_resampled_together():
    values = np.random.default_rng(3).random((30, 2))
    seeds = [0, 1, 2] * 10
    draws = resampled_means(values, seeds)
    for column in (0, 1):
        np.testing.assert_allclose(draws[:, column], resampled_means(values[:, column], seeds))
    both = resampled_means(np.stack([values[:, 0], 1 - values[:, 0]], 1), seeds)
    np.testing.assert_allclose(both.sum(1), 1)


def test_the_words_of_a_speaker_are_resampled_together():
    """Six speakers with ten identical rows each say no more than six rows."""
    rng = np.random.default_rng(0)
    accuracies = rng.random(6)
    alone = bootstrap_interval(accuracies.tolist(), [0] * 6)
    rows, speakers = np.repeat(accuracies, 10).tolist(), np.repeat(np.arange(6), 10).astype(str).tolist()
    assert bootstrap_interval(rows, [0] * 60, speakers) == pytest.approx(alone)
    low, high = bootstrap_interval(rows, [0] * 60)
    assert high - low < 0.6 * (alone[1] - alone[0]), "as if they were sixty"

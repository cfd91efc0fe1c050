import itertools

import numpy as np
import pytest
from scipy import stats

from pppl.bench.coverage import coverage
from pppl.tables.intervals import mean_interval
from pppl.tables.paired import holm, wilcoxon_p


def _names(people: np.ndarray) -> list[str]:
    return people.astype(str).tolist()


def test_persons_who_are_drawn_anew_leave_the_t_interval_over_seeds():
    rng = np.random.default_rng(0)
    seeds = np.repeat(np.arange(4), 10)
    values = rng.normal(0, 0.3, 4)[seeds] + rng.normal(0, 1, 40)
    low, high = mean_interval(values, seeds.tolist(), _names(np.arange(40)))
    means = values.reshape(4, 10).mean(1)
    expected = stats.t.interval(0.95, 3, means.mean(), stats.sem(means))
    assert (low, high) == pytest.approx(expected)


def test_with_one_seed_it_is_the_t_interval_over_people():
    values = np.random.default_rng(1).normal(size=12)
    low, high = mean_interval(values, [3] * 12, _names(np.arange(12)))
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 11, values.mean(), stats.sem(values)))


def test_networks_that_do_not_differ_leave_the_t_interval_over_people_who_come_back():
    of_person = np.random.default_rng(2).normal(size=8)
    low, high = mean_interval(np.tile(of_person, 3), np.repeat(range(3), 8).tolist(), _names(np.tile(range(8), 3)))
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 7, of_person.mean(), stats.sem(of_person)))


def test_the_variance_of_a_full_crossing_is_that_of_the_analysis_of_variance():
    """Both sources' mean squares, that of the rest counted once; a wide enough quantile is between both t's."""
    rng = np.random.default_rng(3)
    table = rng.normal(0, 1, (3, 1)) + rng.normal(0, 1, (1, 20)) + rng.normal(0, 0.5, (3, 20))
    low, high = mean_interval(table.ravel(), np.repeat(range(3), 20).tolist(), _names(np.tile(range(20), 3)))
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    squares = {
        "seeds": 20 * table.mean(1).var(ddof=1),
        "people": 3 * table.mean(0).var(ddof=1),
        "rest": (rest**2).sum() / (2 * 19),
    }
    error = np.sqrt((squares["seeds"] + squares["people"] - squares["rest"]) / 60)
    assert stats.t.ppf(0.975, 19) < (high - low) / 2 / error < stats.t.ppf(0.975, 2)


def test_the_rule_does_not_hang_on_how_many_people_come_back():
    """One more person per seed moves an interval by little; the kind of a bootstrap once hung on a ratio of 1.5."""
    rng = np.random.default_rng(4)
    values = rng.normal(0, 0.3, (3, 1)) + rng.normal(size=(3, 30))
    widths = []
    for count in range(14, 30):
        people = np.concatenate([rng.permutation(45)[:count] for _ in range(3)])
        low, high = mean_interval(values[:, :count].ravel(), np.repeat(range(3), count).tolist(), _names(people))
        widths.append(float(high - low))
    assert all(0.6 < after / before < 1.6 for before, after in itertools.pairwise(widths))


@pytest.mark.parametrize("design", ["new persons", "the same 20", "the same 6", "20 of 40", "some lacking", "two of 6"])
@pytest.mark.parametrize(("seeds", "networks"), list(itertools.product((3, 5), (0.0, 0.3, 1.0))))
def test_intervals_hold_the_mean_as_often_as_they_say(design: str, seeds: int, networks: float):
    assert 0.93 <= coverage(design, seeds, networks, simulated=5000) <= 0.975


def test_six_speakers_of_whom_each_seed_holds_two_out_are_no_more_than_six():
    """Speakers of a fold share its networks; once 91 % of such intervals held the mean."""
    seeds = np.repeat(np.arange(6), 2)
    people, values = [0, 1, 2, 3, 4, 5] * 2, np.tile([0.1, 0.9, 0.2, 0.8, 0.45, 0.55], 2)
    low, high = mean_interval(values, seeds.tolist(), _names(np.array(people)))
    alone = stats.t.ppf(0.975, 5) * values[:6].std(ddof=1) / np.sqrt(6)
    assert (high - low) / 2 >= alone - 1e-12


def test_the_words_of_a_speaker_are_no_speakers():
    """Six speakers with ten identical rows each say no more than six rows."""
    accuracies = np.random.default_rng(0).random(6)
    alone = mean_interval(accuracies, [0] * 6, list("abcdef"))
    rows = np.repeat(accuracies, 10)
    assert mean_interval(rows, [0] * 60, np.repeat(list("abcdef"), 10).tolist()) == pytest.approx(alone)
    low, high = mean_interval(rows, [0] * 60, _names(np.arange(60)))
    assert high - low < 0.6 * (alone[1] - alone[0]), "as if they were sixty"


def test_several_means_of_the_same_rows_are_those_one_by_one():
    values = np.random.default_rng(3).random((30, 2))
    seeds, people = [0, 1, 2] * 10, _names(np.arange(30) % 7)
    low, high = mean_interval(values, seeds, people)
    for column in (0, 1):
        assert mean_interval(values[:, column], seeds, people) == pytest.approx((low[column], high[column]))


@pytest.mark.parametrize("people", [list("abcabc"), list("abcdef"), list("aaaaaa"), list("aabbcc")])
@pytest.mark.parametrize("seeds", [[0, 0, 0, 1, 1, 1], [0] * 6, [0, 1, 2, 3, 4, 5]])
def test_the_order_of_rows_and_the_unit_do_not_matter(people: list[str], seeds: list[int]):
    rng = np.random.default_rng(5)
    values, order = rng.random(6), rng.permutation(6)
    low, high = mean_interval(values, seeds, people)
    again = mean_interval(100 * values[order] - 3, [seeds[i] for i in order], [people[i] for i in order])
    np.testing.assert_allclose(again, (100 * low - 3, 100 * high - 3))


def test_seeds_that_agree_by_chance_still_leave_the_spread_of_people():
    values = np.array([0.2, 0.8, 0.5, 0.5, 0.1, 0.9])
    low, high = mean_interval(values, [0, 0, 1, 1, 2, 2], list("abcdef"))
    error = np.sqrt(((values - 0.5) ** 2).sum() * 6 / 5) / 6
    assert (low, high) == pytest.approx((0.5 - error, 0.5 + error))


def test_equal_values_have_no_width_and_one_row_tells_nothing():
    assert mean_interval([0.5] * 10, [0, 1] * 5, _names(np.arange(10))) == (0.5, 0.5)
    assert np.isnan(mean_interval([0.5], [0], ["ann"])).all()
    assert np.isnan(mean_interval([0.5, 0.7], [0, 0], ["ann", "ann"])).all(), "two words of one speaker"


def test_an_accuracy_stays_within_its_limits():
    low, high = mean_interval([1.0, 1.0, 0.9], [0, 1, 2], list("abc"), limits=(0, 1))
    assert low < 0.9
    assert high == 1


def _by_enumeration(differences: list[float]) -> float:
    """Of all assignments of signs to the ranks of what is not zero, those that are as extreme."""
    array = np.array([each for each in differences if each])
    ranks = stats.rankdata(abs(array))
    sums = [
        sum(r for r, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=len(ranks))
    ]
    centre = ranks.sum() / 2
    return float(np.mean([abs(each - centre) >= abs(ranks[array > 0].sum() - centre) - 1e-9 for each in sums]))


@pytest.mark.parametrize(
    "differences",
    [
        [0.1] * 4 + [0.0] * 16,
        [0.1, 0.1, 0.2, 0.2, -0.3, 0.3, 0.0],
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        [-0.1, 0.1],
        [0.25],
        np.random.default_rng(0).integers(-3, 4, 14).tolist(),
    ],
)
def test_wilcoxon_is_exact_with_zeros_and_ties(differences: list[float]):
    assert wilcoxon_p(differences) == pytest.approx(_by_enumeration(differences))
    assert wilcoxon_p([-each for each in differences]) == pytest.approx(wilcoxon_p(differences))


def test_wilcoxon_is_scipys_where_nothing_is_equal():
    for count in (5, 30, 200):
        differences = np.random.default_rng(count).normal(0.2, 1, count)
        assert wilcoxon_p(differences.tolist()) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)
    assert wilcoxon_p([0.0, 0.0, 0.0]) == wilcoxon_p([]) == 1.0


def test_differences_that_are_equal_but_for_their_last_bits_are_ties():
    thirds = [2 / 3 - 1 / 3, 1 - 2 / 3, 0.1 + 0.2 - 0.3, 1 / 3, -1 / 3, 0.5]
    assert len(set(map(abs, thirds))) > 3
    assert (
        wilcoxon_p(thirds)
        == wilcoxon_p([1 / 3, 1 / 3, 0.0, 1 / 3, -1 / 3, 0.5])
        == wilcoxon_p(np.round(thirds, 8).tolist())
    )


def test_holm_corrects_for_the_number_of_tests():
    # Worked by hand: the least times 4, the next times 3, and so on, never falling, at most 1.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    with_gap = holm([0.02, np.nan, 0.01])
    assert with_gap[::2] == pytest.approx([0.02, 0.02])
    assert np.isnan(with_gap[1])

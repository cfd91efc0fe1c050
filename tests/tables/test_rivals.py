"""Controls and free baselines that a method is held against."""

from typing import Any

import pytest

from pppl.tables.rivals import Rival, is_rival, rivals


def _row(method: str, control: str, score: float, budget: float = 0.1, **more: Any) -> dict[str, Any]:
    return {
        "method": method,
        "control": control,
        "budget": budget,
        "score": score,
        "n": 4,
        "retrain_samples": 0.0,
    } | more


def _persons(method: str, control: str, scores: list[float], budget: float = 0.1) -> list[dict[str, Any]]:
    row = {"method": method, "control": control, "budget": budget, "seed": 0}
    return [row | {"identity": f"p{at}", "score": score} for at, score in enumerate(scores)]


def test_a_better_control_is_found_with_its_paired_difference():
    own, random = _row("ppp", "own", 0.55), _row("ppp", "random", 0.85)
    rows = _persons("ppp", "own", [0.4, 0.5, 0.6, 0.7]) + _persons("ppp", "random", [0.7, 0.8, 0.9, 1.0])
    (rival,) = rivals(own, [own, random], rows)
    assert rival.beats
    assert rival.row is random
    assert rival.difference == pytest.approx(0.3)
    assert rival.low == pytest.approx(rival.high) == pytest.approx(0.3)


def test_only_persons_of_both_count():
    own, twin = _row("ppp", "own", 0.25), _row("ppp", "twin", 0.5, n=1)
    rows = _persons("ppp", "own", [1.0, 0.0, 0.0, 0.0]) + _persons("ppp", "twin", [0.5])
    assert not rivals(own, [own, twin], rows)[0].beats
    assert rivals(own, [own, twin]) == [], "means of different persons tell nothing"


def test_what_is_level_is_not_better():
    own, twin = _row("ppp", "own", 0.5), _row("ppp", "twin", 0.5)
    rows = _persons("ppp", "own", [0.4, 0.6, 0.5, 0.5]) + _persons("ppp", "twin", [0.6, 0.4, 0.5, 0.5])
    (rival,) = rivals(own, [own, twin], rows)
    assert rival.is_level
    assert not rival.beats


def test_of_an_error_less_is_better():
    own, other = (_row("ppp", control, score, metric="MAE") for control, score in (("own", 2.0), ("other", 1.0)))
    assert rivals(own, [own, other])[0].beats
    assert not rivals(other, [own, other])


@pytest.mark.parametrize(
    ("method", "is_free"),
    [
        ("full", True),
        ("full+classes@told", True),
        ("full+bn", True),
        ("l1_local+retrain+classes", True),
        ("taylor_isomorphic", True),
        ("taylor_support_local", False),
        ("l1+finetune", False),
        ("full+tent", False),
        ("finetune", False),
        ("diff", False),
        ("ocap", False),
        ("onda_l1", False),
        ("mine", False),
    ],
)
def test_free_is_what_trains_nothing_on_the_person_and_prunes_alike_for_all(method: str, is_free: bool):
    assert is_rival(_row(method, "", 0.5), []) == is_free


def test_gates_without_controls_give_everybody_one_mask():
    rows = [_row("ppp@nothing", "own", 0.5), _row("ppp@sees", "own", 0.5), _row("ppp@sees", "random", 0.5)]
    assert [is_rival(row, rows) for row in rows] == [True, False, True]
    assert is_rival(_row("ppp@nothing+classes", "own", 0.5), rows)
    assert not is_rival(_row("ppp@sees+bn", "", 0.5), rows)


def test_budgets_are_not_mixed_except_for_what_is_not_pruned():
    own = _row("ppp", "own", 0.5)
    others = [
        _row("l1", "", 0.9, 0.5),
        _row("l1", "", 0.8),
        _row("full", "", 0.7, 1.0),
        _row("ppp", "random", 0.9, 0.2),
    ]
    assert [(each.row["method"], each.row["budget"]) for each in rivals(own, [own, *others])] == [
        ("l1", 0.1),
        ("full", 1),
    ]


def test_a_rival_is_told_apart_where_the_interval_of_its_lead_leaves_out_0():
    error = {"metric": "MAE", "method": "l1", "control": ""}  # lower is better
    for row, leads in (({"method": "l1"}, (0.1, 0.3)), (error, (-0.3, -0.1))):
        low, high = leads
        assert Rival(row=row, difference=(low + high) / 2, low=low, high=high).is_told_apart
        assert not Rival(row=row, difference=0.1, low=-0.1, high=0.3).is_told_apart
        assert not Rival(row=row, difference=0.1).is_told_apart, "no interval, no verdict"

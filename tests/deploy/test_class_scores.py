"""What a person is told about each of their classes."""

import pytest

from pppl.deploy.class_scores import ClassLoss, compare_classes, scores_as_text
from pppl.deploy.told_classes import warn_of_harm, warn_of_lost_classes, warn_of_unseen_classes


def test_right_answers_are_counted_in_total_and_by_class():
    truths = ["zero"] * 5 + ["one"] * 5
    predicted = ["two"] * 4 + ["one"] + ["one"] * 5
    lines = scores_as_text(truths, predicted).splitlines()
    assert lines[0] == "5 of 10 right: 50.0 % [23.7, 76.3]"
    assert [line.split() for line in lines[3:]] == [["zero", "0", "of", "5", "two"], ["one", "5", "of", "5"]]


@pytest.mark.parametrize(
    ("full", "personal", "is_lost"), [(5, 0, True), (5, 2, True), (5, 3, False), (2, 0, False), (3, 1, True)]
)
def test_a_class_is_lost_where_the_full_network_knows_it(full: int, personal: int, is_lost: bool):
    assert ClassLoss(name="0", n=5, full=full, personal=personal, mostly="").is_lost == is_lost


def test_what_is_lost_is_told_with_what_to_expect(capsys: pytest.CaptureFixture[str]):
    truths = ["0"] * 5 + ["1"] * 5
    compared = compare_classes(truths, full=truths, personal=["2"] * 5 + ["1"] * 5)
    warn_of_lost_classes(compared, labelled=True)
    said = capsys.readouterr().err
    assert "class 0: the full network has 5 of 5 samples right, the personal one 0; it mostly takes them for 2" in said
    assert (
        "expect wrong answers for 0, on other samples, too: give a larger --budget, or a method with +finetune" in said
    )
    assert "class 1" not in said
    warn_of_lost_classes(compared, labelled=False)
    said = capsys.readouterr().err
    assert "class 0: the full network takes 5 samples for it, the personal one 0 of these" in said
    assert "the two networks disagree on 0; without labels nobody knows which is right" in said
    assert "expect" not in said


def test_classes_that_no_sample_is_taken_for_are_told_unless_they_are_most(capsys: pytest.CaptureFixture[str]):
    warn_of_unseen_classes(["0", "1", "1"], [*"012"], 3)
    assert "takes none of 3 samples for 2: if the person uses these" in capsys.readouterr().err
    warn_of_unseen_classes(["0", "0"], [*"012"], 2)
    assert not capsys.readouterr().err


def test_a_correction_that_harms_is_told(capsys: pytest.CaptureFixture[str]):
    scores = {"full": {"mean": 0.62}, "full with the person's classes": {"mean": 0.445}}
    warn_of_harm(scores)
    assert "44.5 % right instead of 62.0 %: leave out --classes" in capsys.readouterr().err
    warn_of_harm({"full": {"mean": 0.62}, "full with the person's classes": {"mean": 0.7}})
    warn_of_harm({"full": {"R2": 0.6}})
    assert not capsys.readouterr().err


def test_nothing_is_said_where_nothing_is_lost(capsys: pytest.CaptureFixture[str]):
    warn_of_lost_classes(compare_classes(["0"], ["0"], ["0"]), labelled=True)
    assert not capsys.readouterr().err

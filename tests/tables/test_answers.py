"""Questions of an experiment: paired differences, on the same persons, by budget."""

import pandas as pd
import pytest

from pppl import Experiment
from pppl.comparison.person_plan import check_settings
from pppl.system.errors import UserError
from pppl.tables.answers import answers
from pppl.tables.paired import wilcoxon_p

_KEY = {"dataset": "d", "backbone": "b", "persons": "2 classes", "seen": True}


def _table() -> pd.DataFrame:
    """Two seeds of four persons; `full` does not prune, `own` is better than `one` by what each person has."""
    rows = []
    for seed in (0, 1):
        for who in range(4):
            key = _KEY | {"seed": seed, "identity": f"p{who}{seed}", "control": ""}
            rows.append(key | {"method": "full", "budget": 1.0, "score": 0.9})
            for budget in (0.1, 0.5):
                rows.append(key | {"method": "one", "budget": budget, "score": 0.5 + budget / 10})
                better = 0.5 + budget / 10 + 0.01 * (1 + who + seed)
                for control, accuracy in (("own", better), ("other", 0.1)):
                    rows.append(key | {"method": "own", "budget": budget, "score": accuracy, "control": control})
    return pd.DataFrame(rows)


def test_differences_are_of_the_same_persons_at_the_same_budget():
    table = answers(_table(), {"own or one": ["own", "one"], "what is lost": ["own", "full"], "whole": ["full", "one"]})
    assert table["question"].tolist() == ["own or one"] * 2 + ["what is lost"] * 2 + ["whole"] * 2
    assert table["budget"].tolist() == [0.1, 0.5] * 3
    own, lost, whole = (table.iloc[at] for at in (0, 2, 4))
    each = [0.01 * (1 + who + seed) for seed in (0, 1) for who in range(4)]
    assert own["difference"] == pytest.approx(sum(each) / 8)
    assert own["score"] - own["score_against"] == pytest.approx(own["difference"])
    assert own["difference_low"] < own["difference"] < own["difference_high"]
    assert own["wilcoxon_p"] == pytest.approx(wilcoxon_p(each))
    assert own["holm_tests"] == 3, "all questions at a budget"
    assert own["holm_p"] >= own["wilcoxon_p"]
    assert lost["score_against"] == pytest.approx(0.9)
    assert whole["difference"] == pytest.approx(0.9 - 0.51)
    assert own["n"] == own["people"] == 8


def test_a_question_without_rows_has_no_answer():
    assert answers(_table(), {"of nobody": ["ocap", "one"]}).empty


def test_a_question_about_a_method_that_is_not_compared_is_named(digits):
    experiment = Experiment().replace(methods=["full", "l1"], questions={"which": ["full", "l2"]})
    with pytest.raises(UserError, match=r"unknown method of question 'which' 'l2': did you mean 'l1'"):
        check_settings(experiment, digits)
    with pytest.raises(UserError, match=r"questions holds 'which' with 1 methods: name two, to be compared"):
        Experiment().replace(questions={"which": ["full"]})
    with pytest.raises(UserError, match=r"unknown reference 'fll': did you mean 'full'"):
        check_settings(Experiment().replace(methods=["full"], reference="fll"), digits)


def test_other_methods_leave_questions_and_a_reference_out_that_are_not_about_them():
    two = {"a": ["full", "l1"], "b": ["l1", "l2"]}
    whole = Experiment().replace(methods=["full", "l1", "l2"], questions=two, reference="l2")
    left = whole.override({"methods": ["full", "l1"]})
    assert left.questions == {"a": ["full", "l1"]}
    assert left.reference == "full"
    assert whole.override({"methods": ["l2", "l1"]}).reference == "l2"
    assert whole.override({"seeds": [3]}).questions == two

from typing import Any

import pandas as pd

from pppl.figures import captions


def _tables(persons: str, people: int, seeds: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A method at two budgets and the full network, on as many persons of each seed."""
    common: dict[str, Any] = {"dataset": "faces", "backbone": "tiny", "persons": persons, "seen": True, "shots": 4}
    budgets = [("full", 1.0), ("l1", 0.25), ("l1", 0.1)]
    n = {"n": people * seeds, "people": people}
    summary = pd.DataFrame([common | n | {"method": m, "control": "", "budget": b} for m, b in budgets])
    table = pd.DataFrame([common | {"seed": seed} for seed in range(seeds)])
    return summary, table


def test_what_tables_know_is_told():
    caption = captions.caption_comparison("accuracy_vs_macs", *_tables("2 classes", 7, 3))
    assert "Data set faces, backbone tiny, budgets 10 and 25 %." in caption
    assert "Persons of 2 classes: n = 21 person-seed pairs of 7 subsets of classes." in caption
    assert "3 seeds, 4 support samples of each class." in caption
    assert caption.endswith("95 % t intervals over seeds and persons.\n")


def test_people_are_told_from_persons():
    caption = captions.caption_comparison("retraining", *_tables("person+3 classes", 6, 1))
    assert "3 classes of a person: n = 6 person-seed pairs of 6 people." in caption
    assert caption.endswith("95 % t intervals over people, each with all their rows.\n"), (
        "of one seed there is no other"
    )


def test_a_table_tells_its_budget_and_when_numbers_are_bold():
    tables = _tables("2 classes", 7, 3)
    assert "at a budget of 10 %" in captions.caption_accuracy_table(*tables, 0.1)
    assert "Bold:" in captions.caption_accuracy_table(*tables, 0.1)
    assert "Bold:" not in captions.caption_accuracy_table(*tables, 1.0), "nothing is compared where nothing is pruned"


def test_tasks_and_their_metrics_are_named():
    rows = [{"task": "a", "metric": "matthews"}, {"task": "b", "metric": "accuracy"}, {"task": "average", "metric": ""}]
    summary = pd.DataFrame(rows).assign(encoder="mini", rate=0.005, n=3)
    caption = captions.caption_tasks(summary)
    assert "Encoder mini, 2 tasks: a (matthews); b (accuracy). n = 3 seeds a task, rate 0.005." in caption
    assert caption.endswith("over seeds and test examples.\n")
    assert captions.caption_tasks(summary.assign(n=1)).endswith("bootstrap over test examples.\n")


def test_trials_are_counted():
    trials = pd.DataFrame(
        {"state": ["complete", "complete", "pruned"], "feasible": [True, False, False], "seconds": 1.0, "ppp.rate": 0.1}
    )
    caption = captions.caption_sweep("history", trials, pd.DataFrame())
    assert "n = 3 trials, 2 of them finished, 1 of these fail a constraint." in caption
    assert "Settings: rate." in caption

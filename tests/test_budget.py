"""The budget of tests is of tests that there are, and what is over it fails: by counts, not by clocks."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import counting
import pytest
import pytorch_lightning as pl
from counting import ANY_SETUP, ANY_TEST, Counts

from pppl.system.processes import Workers

ROOT = Path(__file__).parents[1]
_BY_NAME = {name: most for name, most in counting.budgets().items() if "::" in name}


def test_the_ten_slowest_are_tests_that_there_are():
    assert len(_BY_NAME) == 10
    for name in _BY_NAME:
        path, function = name.split("::")
        there = [node for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)]
        assert function in {each.name for each in there}, name


def test_no_other_test_may_have_more_than_the_slowest():
    most = counting.budgets()
    for kind in ("trainings", "processes"):
        allowed = max(getattr(each, kind) for each in _BY_NAME.values())
        assert max(getattr(most[others], kind) for others in (ANY_TEST, ANY_SETUP)) <= allowed


@pytest.mark.parametrize("kind", ["trainings", "processes"])
def test_what_is_over_its_budget_fails(kind: str):
    limits = counting.budgets()
    for name in (*_BY_NAME, "tests/test_new.py::test_unheard_of[1]"):
        most = limits.get(name, limits[ANY_TEST])
        counting.check(name, most)
        over = most - Counts(**{kind: -1})
        with pytest.raises(pytest.fail.Exception, match="budget"):
            counting.check(name, over)
    counting.check("any", limits[ANY_SETUP], setup=True)
    with pytest.raises(pytest.fail.Exception, match="fixtures"):
        counting.check("any", limits[ANY_SETUP] - Counts(**{kind: -1}), setup=True)


def test_trainings_and_processes_are_counted_whoever_asks_for_them():
    before = counting.so_far()
    subprocess.run([sys.executable, "-c", ""], check=True)
    subprocess.run(["true"], check=True)
    with Workers(2) as pool:
        assert sorted(pool.spread(abs, [-1, -2])) == [1, 2]
    started = counting.so_far() - before
    assert started.trainings == 0
    assert started.processes in (2, 3), "one, and one or two workers; nothing of other programs"
    fit: Any = pl.Trainer.fit
    with pytest.raises((AttributeError, TypeError)):
        fit(object(), None)
    assert (counting.so_far() - before).trainings == 1

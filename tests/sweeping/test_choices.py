"""Choices of any kind: as Optuna takes them, and as they come back."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from pppl.config import Sweep
from pppl.config.plain_yaml import read_yaml
from pppl.sweeping.space import suggest, values_taken
from pppl.system.errors import UserError

CHOICES = [
    *([[8, 16], [4], "[4]"], [None, "null", 0], [1, True, 1.0, "1"], ["no", "2020-01-01", "1e-3"], [{"a": [None]}, {}]),
    *([float("nan"), float("inf"), 1], ["a", "b"], ["", " ", "日本", "$x$", "a\nb"]),
]


@pytest.mark.parametrize("choices", CHOICES)
def test_what_is_tried_is_what_was_written(choices: list[Any], tmp_path: Path):
    space = {"backbone.options.x": {"choices": choices}, "a.b": {"low": 1, "high": 3}}
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    tried = []
    for _ in range(12):
        trial = study.ask()
        tried.append(suggest(trial, space))
        study.tell(trial, 0.0)
    again = [
        values_taken(space, trial.params)
        for trial in optuna.load_study(storage=storage, study_name=study.study_name).trials
    ]
    assert list(map(repr, again)) == list(map(repr, tried)), "1, 1.0 and true are three values"
    assert {repr(each["backbone.options.x"]) for each in tried} == set(map(repr, choices))


def test_a_choice_twice_is_told():
    with pytest.raises(UserError, match=r"space\.a\.b\.choices.*\[8\]"):
        Sweep().replace(space={"a.b": {"choices": [[8], 4, [8]]}})
    space = read_yaml("a.b: {choices: [no, 010.5, 2020-01-01, null, [1], {a: b}]}")
    assert Sweep().replace(space=space).space["a.b"]["choices"] == ["no", 10.5, "2020-01-01", None, [1], {"a": "b"}]

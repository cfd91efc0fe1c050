"""A sweep is run, or opened, in one line."""

from pathlib import Path

import pytest

from pppl import Experiment, Sweep, study
from pppl.system.errors import UserError

pytestmark = pytest.mark.usefixtures("sketched")

ROOT = Path(__file__).parents[2]


def test_a_sweep_of_before_shows_its_best():
    opened = study(ROOT / "results" / "digits_ppp")
    assert len(opened.trials) == 100
    assert opened.importances["key"].iloc[0] == "ppp.target_rate"
    assert isinstance(opened.best, Experiment)
    assert opened.best.ppp.target_rate == pytest.approx(
        opened.trials.loc[opened.trials["best"], "ppp.target_rate"].item()
    )
    assert "The best of 100 trials" in repr(opened)
    assert "<td style='white-space:nowrap'>99.2%</td>" in opened._repr_html_()


def test_a_sweep_runs_and_goes_on(tiny_yaml: Path, tmp_path: Path):
    settings = {"persons.classes": [2], "training.epochs": 1}
    space = {"finetune.learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}}
    searched = Sweep(name="s", base=str(tiny_yaml), settings=settings, space=space, method="l1+finetune", trials=2)
    first = study(searched, tmp_path / "out")
    again = study(searched, tmp_path / "out")
    assert len(first.trials) == 2
    assert first.trials.equals(again.trials)


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"has no trials\.csv: name a folder that `pppl sweep` has written"):
        study(tmp_path)

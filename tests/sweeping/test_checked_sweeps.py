"""Tables of sweeps that are checked: the kept ones are whole, and what was changed in them is told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pppl import Experiment
from pppl.cli.command import main
from pppl.comparison.result_kinds import KINDS, find_faults
from pppl.sweeping.sweep_results import SweepResults
from pppl.system.errors import UserError

RESULTS = Path(__file__).parents[2] / "results"
SWEEPS = ("digits_ppp", "digits_front", "diff_pruning", "arabic_ppp")


@pytest.mark.parametrize("name", SWEEPS)
def test_the_kept_sweeps_are_whole(name: str):
    assert find_faults(RESULTS / name, [SweepResults()]) == []


def _worse_best(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(best=table["trial"] == table.loc[table["score"].idxmin(), "trial"])


CHANGES: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "a trial is gone": ("digits_ppp", lambda table: table.iloc[1:], "99 trials, but run.json says 100"),
    "another is best": ("digits_ppp", _worse_best, "best"),
    "infeasible": ("arabic_ppp", lambda table: table.assign(feasible=True), "column feasible does not follow"),
    "the front": ("digits_front", lambda table: table.assign(pareto=table["best"]), "column pareto does not follow"),
    "twice": ("diff_pruning", lambda table: table.assign(trial=0), "lists some trial twice"),
    "a value": ("digits_ppp", lambda table: table.assign(**{"ppp.gate_width": 8}), "does not follow from trials.csv"),
    "a column": ("digits_front", lambda table: table.drop(columns="budget"), "lacks column budget"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_belong_together_is_told(change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    name, edit, expected = CHANGES[change]
    folder = Path(shutil.copytree(RESULTS / name, tmp_path / name))
    edit(pd.read_csv(folder / "trials.csv")).to_csv(folder / "trials.csv", index=False)
    assert main(["results", "check", str(folder)]) == 2
    assert expected in capsys.readouterr().out


def test_files_beside_the_trials_are_checked_too(tmp_path: Path):
    folder = Path(shutil.copytree(RESULTS / "digits_ppp", tmp_path / "copy"))
    best = folder / "best.yaml"
    best.write_text(best.read_text().replace("temperature: 0.", "temperature: 1."))
    (folder / "importances.csv").unlink()
    told = find_faults(folder, [SweepResults()])
    assert len(told) == 2
    assert "best.yaml" in told[0]
    assert "importances.csv is missing" in told[1]


def test_a_sweep_that_is_not_finished_is_told_so(tmp_path: Path):
    (tmp_path / "study.log").write_text("")
    with pytest.raises(UserError, match="is not finished: `pppl sweep` with the same --out goes on, and with --status"):
        find_faults(tmp_path, [*KINDS, SweepResults()])


def test_a_folder_of_networks_has_no_rows_to_check(tmp_path: Path):
    (tmp_path / "run.json").write_text(json.dumps({"config": Experiment().to_dict()}))
    with pytest.raises(UserError, match="holds networks of `pppl train`, which has no rows to check"):
        find_faults(tmp_path, [*KINDS, SweepResults()])

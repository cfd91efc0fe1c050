"""Looks of variants come from the experiment, others from their names."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from pppl import Experiment
from pppl.figures import Looks, accuracy_vs_macs, render
from pppl.figures.accuracy_vs_macs import shown_series
from pppl.figures.looks import BUILT_IN, LOOKS, Look
from pppl.system.errors import UserError

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "sweeps" / "compare").glob("*.yaml"))
MINE = {
    "ppp@mine": {"label": "mine", "colour": "#C51B7D", "marker": "d", "dash": "-."},
    "ppp@mine other": {"label": "mine, another's"},
    "l1@mine": {"marker": "H"},
}


def test_what_is_given_holds_and_the_rest_follows_from_the_name():
    looks, spare = Looks.of(MINE), BUILT_IN.look("ppp@mine", "other")
    assert looks.look("ppp@mine", "own") == Look("mine", "#C51B7D", "d", "-.")
    assert looks.look("ppp@mine", "other") == Look("mine, another's", spare.colour, spare.marker, spare.dash)
    assert looks.look("ppp@mine+bn", "own").label == "mine, recalibrated"
    assert looks.look("l1@mine", "") == replace(BUILT_IN.look("l1@mine", ""), marker="H")
    assert looks.look("ppp", "own") == LOOKS["ppp", "own"]
    late = Looks.of({"ppp@mine+bn": {"dash": ":"}, **MINE})
    assert late.look("ppp@mine+bn", "own").label == "mine, recalibrated", "also where the variant comes later"
    called = Looks.of({"ppp": {"label": "P"}})
    assert called.look("ppp", "own") == replace(LOOKS["ppp", "own"], label="P")
    assert called.look("ppp@mine", "own").label == "P (mine)"


def test_a_method_that_nobody_names_has_one_spare_look():
    for looks in (BUILT_IN, Looks.of(MINE), Looks.of_run({}), Looks.of_run({"config": {"methods": ["theirs"]}})):
        assert looks.look("theirs", "") == BUILT_IN.look("theirs", "") == Look("theirs", "#882255", "*", ":")
        assert looks.rank("theirs", "")[0] > looks.rank("l1", "")[0]


def test_legends_have_the_order_of_the_experiment():
    names = ["full", "ppp", "ppp@a", "ppp@b", "gated@c", "gated", "l1", "zeta", "alpha"]
    control = {name: "own" if name.startswith(("ppp", "gated")) else "" for name in names}
    frame = pd.DataFrame({"method": names, "control": control.values()})
    given = Looks.of({name: {} for name in ("ppp@b", "ppp@a", "gated@c", "zeta")})
    order = ["full", "ppp", "ppp@b", "ppp@a", "gated@c", "zeta", "gated", "l1", "alpha"]
    assert [method for method, _ in shown_series(frame, given)] == order
    behind = Looks.of({"l1": {}, "ppp@a": {}})  # a built-in one keeps its place
    assert [method for method, _ in shown_series(frame, behind)][3:5] == ["l1", "ppp@a"]


def test_an_axis_is_drawn_with_them():
    row = {"method": "ppp@mine", "control": "own", "score": 0.5, "score_low": 0.4, "score_high": 0.6}
    rows = pd.DataFrame([row | {"budget": each, "macs_fraction": each} for each in (0.1, 0.2)])
    for looks, label, colour in ((Looks.of(MINE), "mine", "#c51b7d"), (BUILT_IN, "PPP, own prototype (mine)", None)):
        ax = accuracy_vs_macs(rows, Figure().subplots(), looks=looks)
        handles, labels = ax.get_legend_handles_labels()
        assert labels == [label]
        assert colour in (None, to_hex(handles[0].lines[0].get_color()))


def test_a_folder_is_drawn_with_those_of_its_run(tmp_path: Path):
    folder, out = tmp_path / "folder", tmp_path / "out"
    folder.mkdir()
    for name in ("summary.csv", "table.csv.gz"):
        frame = pd.read_csv(ROOT / "results" / "shoulder" / name, keep_default_na=False)
        kept = frame["method"].isin(["full", "ppp@persons", "ppp@nothing"]) & frame["budget"].isin([0.1, 1.0])
        frame[kept].to_csv(folder / name, index=False)
    tables = []
    for config in ({"looks": {"ppp@persons": {"label": "50 % mine"}}}, {}):  # earlier versions have none
        (folder / "run.json").write_text(json.dumps({"config": config}))
        render(folder, out=out)
        tables.append((out / "tables" / "accuracy_10.tex").read_text())
    assert "\n50 \\% mine &" in tables[0]
    assert "\nPPP, own prototype (persons) &" in tables[1]
    (folder / "run.json").write_text(json.dumps({"config": {"looks": {"ppp@persons": {"colour": "blue"}}}}))
    with pytest.raises(UserError, match=r"looks\.ppp@persons\.colour is 'blue', which is no colour"):
        render(folder, out=out)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_our_experiments_tell_all_methods_apart(path: Path):
    """Labels, and in grey marker and dash alone, of what has a look of its own."""
    experiment = Experiment.load(path)
    looks = Looks.of(experiment.looks)
    named = {name.split(" ")[0] for name in experiment.looks}
    assert named <= {*experiment.methods}
    own = [each for (_, control), each in looks.known.items() if (_, control) in LOOKS or control]
    assert len({each.label for each in own}) == len(own)
    assert len({(each.marker, each.dash) for each in own}) == len(own)
    assert all(sum(to_rgb(each.colour)) < 2.2 for each in own), "dark enough for white paper"
    folder = ROOT / "results" / path.stem
    if folder.is_dir():
        assert json.loads((folder / "run.json").read_text())["config"]["looks"] == experiment.looks


def test_no_built_in_look_is_of_a_variant():
    assert not [method for method, _ in LOOKS if "@" in method]

"""What is praised stands beside every control and free baseline that beats it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from report_pages import RESULTS, Parsed

from pppl.report import report
from pppl.report.terminal_rivals import baselines_as_text, rivals_as_text
from pppl.tables.schema import load_frame


def _text(folder: Path, out: Path) -> str:
    return " ".join(Parsed(report(folder, out / "report.html").read_text(encoding="utf-8")).text.split())


def _raise_random(folder: Path) -> None:
    """Make a random mask of `ppp@persons` right on all queries."""
    for name in ("summary.csv", "table.csv.gz"):
        frame = pd.read_csv(folder / name, keep_default_na=False, dtype=str)
        is_random = (frame["method"] == "ppp@persons+classes") & (frame["control"] == "random")
        for column in {"score", "score_low", "score_high"} & {*frame}:
            frame.loc[is_random, column] = "1.0"
        frame.to_csv(folder / name, index=False)


def test_a_random_mask_that_beats_the_best_is_told(folder: Path, tmp_path: Path):
    before = _text(folder, tmp_path)
    assert "PPP, random mask (persons), person's classes +" not in before
    assert (
        "PPP per person, person's classes is behind others, but not told apart from them, on the same persons."
        in before
    )
    assert "full, person's classes +0.1 [0.0, 0.2] (not told apart)" in before
    assert "Controls of its own that are not told apart from it: PPP, a twin's (persons), person's classes" in before
    _raise_random(folder)
    assert "By controls: PPP, random mask (persons), person's classes +0.1 [0.0, 0.2] (not told apart)." in _text(
        folder, tmp_path
    )


def test_the_terminal_names_them_too(folder: Path):
    _raise_random(folder)
    text = rivals_as_text(load_frame(folder / "summary.csv"), load_frame(folder / "table.csv.gz"))
    best, personal = text.splitlines()[1:]
    assert best.startswith("persons of 2 classes: l1_local+retrain+classes is beaten by ")
    assert "persons of 2 classes: ppp@persons+classes own is beaten by " in personal
    assert "; ppp@persons+classes random +0.1 [0.0,\N{NO-BREAK SPACE}0.2]; " in personal


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """A sweep with rows of a comparison as its baselines."""
    folder = Path(shutil.copytree(RESULTS / "digits_ppp", tmp_path / "swept"))
    rows = pd.read_csv(RESULTS / "digits" / "summary.csv", keep_default_na=False, dtype=str)
    rows = rows[rows["method"].isin(["full", "full+classes", "l1_local+retrain", "ppp@persons"])]
    rows = rows[rows["budget"].isin(["0.1", "1.0"]) & (rows["persons"] == "2 classes")]
    rows["reference"] = ["" if each == "own" else "ppp@persons" for each in rows["control"]]
    rows.to_csv(folder / "baselines.csv", index=False)
    return folder


def test_a_sweep_tells_what_beats_its_best_trial(swept: Path, tmp_path: Path):
    text = _text(swept, tmp_path)
    assert "persons of 2 classes: PPP, own prototype (persons) is behind others, but not told apart from them," in text
    assert "By free baselines that are not pruned: full, person's classes +0.2" in text
    told = baselines_as_text(load_frame(swept / "baselines.csv"))
    assert "ppp@persons own is beaten by nothing; behind these, but not told apart: full+classes +0.2" in told
    (swept / "baselines.csv").unlink()
    assert "What it has to beat was not measured" in _text(swept, tmp_path)


def test_a_sweep_of_few_trials_says_how_many_more_it_needs(swept: Path, tmp_path: Path):
    (swept / "importances.csv").unlink()
    pd.read_csv(swept / "trials.csv").head(8).to_csv(swept / "trials.csv", index=False)
    assert "What mattered most is unknown: 8 trials are complete, 12 more are needed." in _text(swept, tmp_path)


def test_a_preview_says_that_it_is_one(folder: Path, tmp_path: Path):
    assert "A preview" not in _text(folder, tmp_path)
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    run["config"]["name"] += "-fast"
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    assert "A preview (--fast). Little was trained and tested" in _text(folder, tmp_path)

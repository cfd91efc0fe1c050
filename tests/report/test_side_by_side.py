"""A report with another reference, and of two folders side by side."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from report_pages import RESULTS, Parsed

from pppl.cli.command import main
from pppl.report import report
from pppl.report.differing import differences
from pppl.report.folder import read_results
from pppl.report.side_by_side import side_by_side
from pppl.system.errors import UserError


def test_a_reference_is_chosen_without_computing(folder: Path, tmp_path: Path):
    written = read_results(folder)
    again = read_results(folder, str(written.config["reference"]))
    for before, after in zip(written.main.rows, again.main.rows, strict=True):
        assert after["method"] == before["method"]
        assert after["reference_minus_this"] == pytest.approx(before["reference_minus_this"], abs=1e-7, nan_ok=True)
    before = (folder / "summary.csv").read_bytes()
    other = report(folder, tmp_path / "other.html", reference="l1_local+retrain").read_text()
    assert (folder / "summary.csv").read_bytes() == before
    assert "paired difference to l1_local+retrain with" in Parsed(other).text
    rows = {(row["method"], row["control"], row["budget"]): row for row in again.main.rows}
    l1 = read_results(folder, "l1_local+retrain").main.rows
    row = next(row for row in l1 if (row["method"], row["control"], row["budget"]) == ("ppp@persons", "own", 0.1))
    difference = rows["l1_local+retrain", "", 0.1]["score"] - row["score"]
    assert row["reference_minus_this"] == pytest.approx(difference)
    with pytest.raises(UserError, match=r"unknown reference in .* 'l1_lokal': did you mean 'l1_local'"):
        report(folder, reference="l1_lokal")


def test_the_same_results_differ_in_nothing(folder: Path):
    found = side_by_side(read_results(folder), read_results(folder))
    assert len(found.sides) == len(read_results(folder).main.rows)
    assert {side.difference for side in found.sides} == {0.0}
    assert not any(side.is_told_apart for side in found.sides)
    assert differences(read_results(folder), read_results(folder)) == []
    assert found.only_one == found.only_two == []


@pytest.fixture
def changed(folder: Path, tmp_path: Path) -> Path:
    """The folder with l1_local right in 10 points more, fewer persons, one method less, and another training."""
    other = Path(shutil.copytree(folder, tmp_path / "changed"))
    for name in ("summary.csv", "table.csv.gz"):
        frame = pd.read_csv(other / name, keep_default_na=False, dtype=str)
        frame = frame[frame["method"] != "ocap"]
        is_l1 = frame["method"] == "l1_local"
        for column in {"score", "score_low", "score_high"} & {*frame}:
            frame.loc[is_l1, column] = (frame.loc[is_l1, column].astype(float) + 0.1).astype(str)
        if name == "table.csv.gz":
            frame = frame[frame["seed"].isin(["0", "1"])]
        frame.to_csv(other / name, index=False)
    run = json.loads((other / "run.json").read_text())
    run["config"]["training"]["epochs"] = 7
    run["config"]["looks"] = {}
    run |= {"git_commit": "abc", "hardware": {"cpu": "another"}, "dataset_sha256": "other"}
    run["fingerprints"]["l1_local"]["code"] = "changed"
    (other / "run.json").write_text(json.dumps(run))
    return other


def test_differences_are_paired_on_the_persons_in_both(folder: Path, changed: Path):
    one, two = read_results(folder), read_results(changed)
    found = side_by_side(one, two)
    assert found.only_one == ["ocap"]
    persons = pd.read_csv(changed / "table.csv.gz").drop_duplicates(["seed", "identity"])
    for side in found.sides:
        assert side.common == len(persons)
        is_l1 = side.one["method"] == "l1_local"
        assert side.difference == pytest.approx(0.1 if is_l1 else 0.0)
        assert side.is_told_apart == is_l1
    what = {name: (before, after) for name, before, after in differences(one, two)}
    assert what["training.epochs"][1] == "7"
    assert what["commit"][1] == "abc"
    assert what["hardware: cpu"][1] == "another"
    assert what["data (SHA-256)"][1] == "other"
    assert what["code of rows, of methods in both"][1] == "differ for l1_local"
    assert not any(name.startswith(("looks", "questions")) for name in what), "no row depends on them"


def test_two_folders_are_one_page(folder: Path, changed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "both.html"
    assert main(["report", str(folder), str(changed), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    page = Parsed(out.read_text(encoding="utf-8"))
    text = " ".join(page.text.split())
    assert "Higher in changed, on the persons in both:" in text
    assert "L1, per layer, persons of 2 classes, seen in training: from" in text
    assert "by 10.0 points [10.0, 10.0]" in text
    assert "Only in some results: ocap." in text
    assert {a["href"] for a in page.named("a")} == {"#answer", "#differing", "#summary"}
    assert not page.named("img")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "fsdd"], "have no method, persons and budget in common: .*digits has digits, 2 classes"),
        (["digits", "digits_ppp"], "name two folders of `pppl compare`, or two of `pppl tasks`"),
        (["digits", "fsdd", "keywords"], "a report compares two folders, not 3"),
        (["digits", "fsdd", "--reference", "l1"], "are for a report of one folder"),
        (["minilm", "--reference", "diff"], "--reference takes the rows of a comparison on persons"),
    ],
)
def test_what_cannot_be_shown_is_told(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    named = [str(RESULTS / each) if (RESULTS / each).exists() else each for each in arguments]
    assert main(["report", *named, "--out", str(tmp_path / "both.html")]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert main(["report", str(RESULTS / "minilm"), str(RESULTS / "minilm")]) == 2
    assert "--out is missing" in capsys.readouterr().err


def test_tasks_are_compared_by_their_means(tmp_path: Path):
    text = Parsed(report(RESULTS / "minilm", tmp_path / "both.html", beside=RESULTS / "minilm").read_text()).text
    assert "rows are in both minilm and minilm" in " ".join(text.split())

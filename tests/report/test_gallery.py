"""Who gains and who loses, person by person."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from browser import page
from report_pages import RESULTS, Parsed

from pppl.report import report
from pppl.report.folder import read_results
from pppl.report.person_scores import choose_pair, person_scores
from pppl.system.errors import UserError


def test_scores_of_persons_are_means_over_their_seeds(folder: Path):
    results = read_results(folder, "ppp@persons")
    pair = choose_pair(results, "full")
    assert pair is not None
    table = pd.read_csv(folder / "table.csv.gz", keep_default_na=False)
    rows = table[(table["method"] == "ppp@persons") & (table["control"] == "own") & (table["budget"] == 0.1)]
    scores = {each.classes: each for each in person_scores(results, pair)}
    assert len(scores) == rows["identity"].nunique()
    for identity, own in rows.groupby("identity"):
        person = scores[str(identity).replace("+", ", ")]
        assert person.score == pytest.approx(own["score"].mean())
        assert person.full == person.against == pytest.approx(own["score_full"].mean())
        assert person.seeds == own["seed"].nunique()


def test_what_is_held_against_what_can_be_chosen(folder: Path):
    usual = choose_pair(read_results(folder))
    assert usual is not None
    assert usual.against["method"] == "full+classes"
    assert usual.method["method"] == "l1_local+retrain+classes", "the best, since the reference is full+classes itself"
    chosen = choose_pair(read_results(folder, "ppp@persons"), "l1_local")
    assert chosen is not None
    assert (chosen.method["method"], chosen.against["method"]) == ("ppp@persons", "l1_local")
    with pytest.raises(UserError, match="to hold persons against 'l1_lokal': did you mean 'l1_local'"):
        choose_pair(read_results(folder), "l1_lokal")


def test_ten_gain_and_ten_lose_at_most_and_all_are_in_the_table(tmp_path: Path):
    text = report(RESULTS / "keywords", tmp_path / "report.html").read_text()
    persons = text.split('id="persons"')[1].split('id="figures"')[0]
    assert persons.count('class="card"') == 20
    gains, losses = persons.split("Largest losses")
    assert gains.count("+") >= 10
    assert "unseen in training" in losses
    table = pd.read_csv(RESULTS / "keywords" / "table.csv.gz")
    people = table.drop_duplicates(["persons", "seen", "identity"])
    assert f"{len(people)} rows" in persons
    assert "zoom out" in Parsed(persons).text


def test_without_rows_of_persons_there_is_no_gallery(folder: Path):
    (folder / "table.csv.gz").unlink()
    assert 'id="persons"' not in report(folder).read_text()


def test_the_table_of_persons_sorts(tmp_path: Path):
    path = report(RESULTS / "keywords", tmp_path / "report.html")
    with page(390, 844) as shown:
        shown.goto(path.as_uri())
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert shown.evaluate("Array.from(document.querySelectorAll('.card')).every((each) => each.offsetWidth > 250)")
        header = shown.locator("#persons th", has_text="Method less against")
        header.get_by_role("button").click()
        assert _first(shown) == min(_column(shown))
        header.get_by_role("button").click()
        assert _first(shown) == max(_column(shown))


def _column(shown: Any) -> list[float]:
    code = """() => {
      const place = Array.from(document.querySelectorAll('#persons th')).findIndex((each) =>
        each.innerText.startsWith('Method less against'));
      const rows = Array.from(document.querySelectorAll('#persons tbody tr'));
      return rows.map((row) => Number(row.cells[place].dataset.v));
    }"""
    return shown.evaluate(code)


def _first(shown: Any) -> float:
    return _column(shown)[0]

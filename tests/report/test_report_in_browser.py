"""What people see of a report, and what its tables do when they are used."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from browser import page
from report_pages import RESULTS

from pppl.report import report

_TABLE = "#summary .grid"
_SUMMARY = pd.read_csv(RESULTS / "digits" / "summary.csv")


def _at(budget: float) -> int:
    """Rows that are shown with a budget: what has none is, too."""
    return int(_SUMMARY["budget"].isin([budget, 1.0]).sum())


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The report on digits, and what the page asked for and complained of."""
    path = report(RESULTS / "digits", tmp_path_factory.mktemp("report") / "report.html")
    with page(1280, 900) as shown:
        shown.asked, shown.complaints = [], []
        shown.on("request", lambda request: shown.asked.append(request.url))
        shown.on("console", lambda message: shown.complaints.append(message.text))
        shown.on("pageerror", lambda error: shown.complaints.append(str(error)))
        shown.goto(Path(path).as_uri())
        yield shown


def _column(shown: Any, title: str) -> list[str]:
    """The texts of a column's rows that are seen, from top to bottom."""
    code = """([table, title]) => {
      const headers = Array.from(document.querySelectorAll(`${table} th`));
      const place = headers.findIndex((header) => header.innerText.startsWith(title));
      return Array.from(document.querySelectorAll(`${table} tbody tr`)).filter((row) => row.offsetHeight)
        .map((row) => row.cells[place].innerText.trim());
    }"""
    return shown.evaluate(code, [_TABLE, title])


def _numbers(shown: Any, title: str) -> list[float]:
    return [float(text.split()[0].replace(",", "")) for text in _column(shown, title) if text]


def _show_all(shown: Any) -> None:
    shown.locator(f"{_TABLE} .reset").click()


def _choice(shown: Any, name: str) -> Any:
    return shown.locator(_TABLE).get_by_role("combobox", name=name)


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_it_fits_the_screen_and_asks_for_nothing(opened: Any, width: int, height: int):
    opened.set_viewport_size({"width": width, "height": height})
    opened.reload()
    for details in opened.locator("details").all():
        details.evaluate("each => each.open = true")
    opened.wait_for_function("Array.from(document.images).every((image) => image.complete && image.naturalWidth)")
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.complaints == []
    # Nothing but the file itself and what lies in it.
    assert {url.split(":")[0] for url in opened.asked} <= {"file", "data"}
    assert {url for url in opened.asked if not url.startswith("data:")} == {opened.url}


def test_the_budget_of_the_answer_is_shown_first(opened: Any):
    opened.reload()
    assert set(_column(opened, "Budget")) == {"10", "none"}
    assert opened.locator(f"{_TABLE} output").inner_text() == f"{_at(0.1)} of {len(_SUMMARY)} rows"


def test_a_header_sorts_by_numbers_and_back(opened: Any):
    _show_all(opened)
    for title in ("Accuracy", "Passes of the person's samples"):
        header = opened.locator(f"{_TABLE} th", has_text=title)
        header.get_by_role("button").click()
        ascending = _numbers(opened, title)
        assert ascending == sorted(ascending)
        assert len(ascending) == len(_SUMMARY)
        assert len(set(ascending)) > 5
        assert header.get_attribute("aria-sort") == "ascending"
        header.get_by_role("button").press("Enter")  # as without a mouse
        assert _numbers(opened, title) == ascending[::-1]
        assert header.get_attribute("aria-sort") == "descending"
    assert opened.locator(f'{_TABLE} th:not([aria-sort="none"])').count() == 1


def test_what_is_empty_comes_last_either_way(opened: Any):
    _show_all(opened)
    button = opened.locator(f"{_TABLE} th", has_text="p (Holm)").get_by_role("button")
    for _ in range(2):
        button.click()
        texts = _column(opened, "p")
        empty = texts.count("")
        assert 0 < empty < len(texts)
        assert texts[-empty:] == [""] * empty


def test_typing_leaves_the_rows_that_hold_all_words(opened: Any):
    _show_all(opened)
    opened.locator(f"{_TABLE} input").fill("QUANTIZED retraining")
    methods = _column(opened, "Method")
    assert methods
    assert set(methods) == {"L1, per layer + retraining, person's classes, quantized"}
    assert opened.locator(f"{_TABLE} output").inner_text() == f"{len(methods)} of {len(_SUMMARY)} rows"
    opened.locator(f"{_TABLE} input").fill("nothing has this")
    assert _column(opened, "Method") == []
    _show_all(opened)
    assert len(_column(opened, "Method")) == len(_SUMMARY)


def test_drop_downs_choose_together(opened: Any):
    _show_all(opened)
    _choice(opened, "Persons").select_option("5 classes")
    _choice(opened, "Methods").select_option("trained after pruning")
    assert set(_column(opened, "Persons")) == {"5 classes"}
    trained = zip(
        *(_numbers(opened, f"Passes of {whose}") for whose in ("the person's samples", "samples for all")), strict=True
    )
    assert all(max(each) > 0 for each in trained)
    _choice(opened, "Budget").select_option("25 %, or none")
    assert set(_column(opened, "Budget")) == {"25"}
    assert opened.complaints == []

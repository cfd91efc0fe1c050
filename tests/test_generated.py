"""What README, site and findings tell of results is what the tables tell, number by number."""

import re
from pathlib import Path

import pandas as pd
import pytest
from generated import PATHS, with_blocks

RESULTS = Path(__file__).parents[1] / "results"
_TOLD = re.compile(
    r"(?P<whom>[\w ]+ \([^)]*\)) (?P<value>[+-]?\d+\.\d)(?:\\\*)? \[(?P<low>-?\d+\.\d), (?P<high>-?\d+\.\d)\]"
)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_blocks_are_those_of_the_tables(path: Path):
    text = path.read_text(encoding="utf-8")
    assert text == with_blocks(text), "run `python tests/generated.py`"
    assert text.count("<!-- end -->") == len(re.findall(r"<!-- (?!end)", text)) > 0


def test_each_number_of_the_lines_on_practice_is_in_a_table():
    """Read by other code than that which wrote them."""
    practice = next(path for path in PATHS if path.name == "practice.md").read_text(encoding="utf-8")
    lines = practice[practice.index("<!-- answers -->") : practice.index("<!-- end -->")].strip().splitlines()[2:]
    questions = {name: pd.read_csv(RESULTS / name / "answers.csv") for name in _folders()}
    assert len(lines) == 10
    told = 0
    for line in lines:
        question = re.match(r"\d+\. \*\*(.*?)\*\*", line)
        assert question is not None
        for whom, value, low, high in _TOLD.findall(line.replace("gains: ", "").replace("loses: ", "")):
            rows = pd.concat(questions.values()).query("budget in (0.1, 1.0) and question == @question[1]")
            column = "difference"
            if rows.empty:
                rows = pd.concat(pd.read_csv(RESULTS / name / "gains.csv") for name in _folders())
                rows, column = rows.query("budget == 0.1 and against == 'twin'"), "gain"
            ends = [f"{column}{end}" for end in ("", "_low", "_high")]
            found = {tuple(f"{round(100 * row[end], 1) + 0:.1f}" for end in ends) for _, row in rows.iterrows()}
            assert (value.removeprefix("+"), low, high) in found, (line, whom)
            told += 1
    assert told >= 48


def _folders() -> list[str]:
    return sorted(path.parent.name for path in RESULTS.glob("*/answers.csv"))

"""Notebooks as they are committed; `make test` executes them, too (nbmake)."""

from pathlib import Path

import jupytext
import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem[0].isdigit())
_MOST_BYTES = 600_000


def test_they_are_all_there():
    wanted = ["quickstart", "anatomy_of_ppp", "ppp_vs_the_field", "sweep_analysis", "diff_pruning", "on_device"]
    wanted += ["paper_figures", "when_support_fails"]
    assert [f"{number:02}_{name}" for number, name in enumerate(wanted)] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_its_text_executed(name: str):
    text, notebook = jupytext.read(FOLDER / f"{name}.py"), nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert [(c.cell_type, c.source) for c in text.cells] == [(c.cell_type, c.source) for c in notebook.cells]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)], "run from top to bottom"
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"], "walls of logs"
    assert (FOLDER / f"{name}.ipynb").stat().st_size < _MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_says_what_it_answers_and_ends_with_what_was_learnt(name: str):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert prose[0].startswith("# ")
    assert "**What this answers:**" in prose[0]
    assert "## What was learnt" in prose[-1]
    last = notebook.cells[-1]
    assert "Markdown(" in last.source, "with numbers that are computed"
    assert "text/markdown" in last.outputs[-1]["data"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_names_nothing_of_the_machine_that_ran_it(name: str):
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert str(FOLDER.parent) not in text
    assert "/tmp/" not in text

import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from pppl.system import progress


def test_a_log_has_no_bars(capsys: pytest.CaptureFixture[str]):
    assert list(progress.bar(range(3), desc="things")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    assert not progress.in_notebook()


@pytest.mark.parametrize("hidden", [False, True])
def test_a_notebook_has_bars_but_where_they_are_hidden(hidden: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TQDM_DISABLE", "1" * hidden)
    cell = nbformat.v4.new_code_cell(
        "from pppl.system.progress import bar\nfor _ in bar(range(3), desc='things'): pass"
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, kernel_name="python3").execute()
    shown = [output["data"] for output in cell.outputs]
    assert [("application/vnd.jupyter.widget-view+json" in each) for each in shown] == [True] * (not hidden)


def test_nothing_of_jupyter_is_imported_elsewhere():
    code = "import sys, pppl.system.progress as p; p.bars_shown(); assert not {'IPython', 'tqdm'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

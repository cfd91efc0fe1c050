"""JupyterLab, as users open it, runs and renders notebooks."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from browser import page

ROOT = Path(__file__).parents[1]
_SECONDS = 240.0
# Cells in a window are drawn as they come into view; all are in the model.
_CODE_CELLS = """() => {
  const widget = window.jupyterapp.shell.currentWidget;
  return Array.from(widget.content.model.cells).filter((cell) => cell.type === 'code').map((cell) => ({
    count: cell.executionCount, outputs: cell.outputs.toJSON(), source: cell.sharedModel.source,
  }));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab on a copy of the notebooks, with results beside them."""
    folder = tmp_path_factory.mktemp("lab")
    for name in ("notebooks", "sweeps"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copytree(ROOT / "results", folder / "results", ignore=shutil.ignore_patterns("demo*", "wandb"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]
    settings = {"JUPYTER_CONFIG_DIR": str(folder / "config"), "HOME": str(folder), "PPPL_FAST": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **settings})
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: _answers(f"{address}/api") or process.poll() is not None, _SECONDS, "JupyterLab does not answer")
        assert process.poll() is None, (folder / "log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _answers(address: str) -> bool:
    try:
        with urlopen(address) as response:
            return response.status == 200
    except URLError:
        return False


def _wait(done: Any, seconds: float, failure: str) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, failure
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["00_quickstart", "02_ppp_vs_the_field"])
def test_a_notebook_is_opened_run_and_rendered(server: str, name: str):
    with page(1280, 900) as shown:
        shown.goto(f"{server}/lab/tree/notebooks/{name}.ipynb?reset")
        shown.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=1000 * _SECONDS)
        shown.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget?.sessionContext?.isReady", timeout=1000 * _SECONDS
        )
        execute = "(command) => window.jupyterapp.commands.execute(command)"
        shown.evaluate(execute, "notebook:clear-all-cell-outputs")
        assert all(cell["outputs"] == [] for cell in shown.evaluate(_CODE_CELLS))
        shown.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")  # not waited for
        _wait(lambda: _ended(shown.evaluate(_CODE_CELLS)), _SECONDS, "the notebook does not come to its end")
        cells = shown.evaluate(_CODE_CELLS)
        outputs = [output for cell in cells for output in cell["outputs"]]
        assert not [output for output in outputs if output["output_type"] == "error"], json.dumps(outputs)[:2000]
        kinds = {kind for output in outputs for kind in output.get("data", {})}
        assert {"image/png", "text/html", "text/markdown"} <= kinds
        shown.wait_for_selector(".jp-RenderedMarkdown", timeout=20_000)
        shown.wait_for_selector(".jp-RenderedHTMLCommon table", timeout=20_000)


def _ended(cells: list[dict[str, Any]]) -> bool:
    """Whether the last cell has its output, or any has an error."""
    failed = any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    return failed or bool(cells[-1]["outputs"])

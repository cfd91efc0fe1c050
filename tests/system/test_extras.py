"""What a lean installation can do, and what it says of the rest."""

import subprocess
import sys
from pathlib import Path

import pytest

from pppl.cli.command import main
from pppl.system.errors import UserError
from pppl.system.extras import Needing
from pppl.system.processes import worker_context

EXTRAS = ("onnx", "onnxruntime", "onnxscript", "soundfile", "transformers", "peft", "psycopg", "submitit")
# Modules that Windows does not have.
UNIX = ("fcntl", "resource", "termios", "pwd")
_REFUSED = ("compare", "results merge")
QUICK = ["--seeds=[0]", "--persons.count=2", "--budgets=[0.1]", "--methods=[full, full+classes, l1_local]"]


# Hides packages from imports and from those who ask which are installed.
_HIDE = """
import importlib.metadata, sys
hidden, distribution = {hidden!r}, importlib.metadata.distribution
def find(name):
    if name in hidden:
        raise importlib.metadata.PackageNotFoundError(name)
    return distribution(name)
importlib.metadata.distribution = find
sys.modules.update(dict.fromkeys(hidden))
from pppl.cli import main
"""


def _without(modules: tuple[str, ...], code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process in which some modules are not installed."""
    command = [sys.executable, "-c", _HIDE.format(hidden=modules) + code]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_core_runs_the_demo_and_names_the_extra_of_what_it_lacks(tmp_path: Path):
    code = (
        f"assert main(['demo', *{QUICK!r}, '--training.epochs=1', '--workers=1', '--out', 'out']) == 0\n"
        "open('a.onnx', 'w').close()\nopen('a.wav', 'w').close()\n"
        "from pppl.data.audio import read_recording\n"
        "from pathlib import Path\n"
        "try: read_recording(Path('a.wav'))\n"
        "except ValueError as error: print(error)\n"
        "sys.exit(main(['latency', 'a.onnx']))"
    )
    done = _without(EXTRAS, code, tmp_path)
    assert done.returncode == 2, done.stderr
    assert (
        done.stderr.splitlines()[-1] == "pppl: error: an .onnx file needs onnxruntime: run `pip install 'pppl[deploy]'`"
    )
    assert done.stdout.splitlines()[-1] == "a recording needs soundfile: run `pip install 'pppl[audio]'`"
    assert (tmp_path / "out" / "report.html").exists()


def test_without_the_modules_of_unix_results_can_be_read_and_sweeps_say_what_they_need(tmp_path: Path):
    """As far as that shows here what Windows lacks; nothing was run on Windows itself."""
    results = Path(__file__).parents[2] / "results" / "plain_fsdd"
    code = (
        "import pppl\n"
        f"run = pppl.load_run({str(results)!r})\n"
        "assert len(run.summary)\n"
        f"assert main(['report', {str(results)!r}, '--out', 'page.html']) == 0\n"
        f"assert main(['results', 'answers', {str(results)!r}]) == 0\n"
        "assert main(['new', 'compare', 'mine']) == main(['new', 'tune', 'search', '--base', 'mine.yaml']) == 0\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "sys.exit(main(['sweep', 'search.yaml', '--workers=1', '--out=out']))"
    )
    done = _without(UNIX, code, tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("pppl: error: a sweep locks files as Linux and macOS do; on Windows")
    assert (tmp_path / "page.html").exists()


def test_on_windows_verbs_that_train_are_refused_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "compare", "mine"]) == 0
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["explain", "seeds"]) == main(["new", "compare", "other"]) == 0
    assert main(["compare", "mine.yaml"]) == main(["results", "merge", "a", "--out", "b"]) == 2
    refused = [f"pppl: error: pppl {verb} needs Linux or macOS; on Windows, run it in WSL" for verb in _REFUSED]
    assert capsys.readouterr().err.splitlines() == refused
    with pytest.raises(UserError, match="on Windows, use 1 worker, or WSL"):
        worker_context("pppl")


def test_an_import_that_fails_for_lack_of_memory_is_no_missing_package():
    with pytest.raises(UserError, match=r"a needs no_such_module: run `pip install 'pppl\[b\]'`"), Needing("a", "b"):
        import no_such_module  # noqa: F401 # pyright: ignore[reportMissingImports]
    with pytest.raises(ImportError, match="failed to map segment"), Needing("a", "b"):
        raise ImportError("libonnx.so: failed to map segment from shared object")

"""What stands at `>>>` in docstrings does what it says."""

import doctest
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pppl


def test_examples_in_docstrings_do_what_they_say():
    """In a process of their own: they register names, and import all that there is."""
    command = [sys.executable, "-m", f"tests.{Path(__file__).stem}"]
    ended = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def _failures() -> int:
    """How many examples of all modules fail. The report of each is printed."""
    names = [module.name for module in pkgutil.walk_packages(pppl.__path__, "pppl.")]
    modules = [import_module(name) for name in names if not name.endswith("__main__")]
    results = [doctest.testmod(module) for module in (pppl, *modules)]
    assert sum(result.attempted for result in results) > 250, "examples are found"
    return sum(result.failed for result in results)


if __name__ == "__main__":
    sys.exit(_failures() > 0)

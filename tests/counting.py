"""Budgets of tests: how many networks each test may train and how many processes it may start.

Counts are checked in place of times, since they are the same on any machine. Counted are trainings (`Trainer.fit`) and
Python processes (subprocesses of this interpreter, and workers) of the process that runs the test, but not those of its
child processes. `BUDGET.md` lists the budgets.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

BUDGET = Path(__file__).parent / "BUDGET.md"
ANY_TEST, ANY_SETUP = "any other test", "the fixtures of a test"
_ROW = re.compile(r"^\| `?([^|`]+?)`? +\| +(\d+) \| +(\d+) \|", re.MULTILINE)


@dataclass
class Counts:
    """Numbers of trainings and started processes."""

    trainings: int = 0
    processes: int = 0

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(self.trainings - other.trainings, self.processes - other.processes)

    def within(self, most: "Counts") -> bool:
        """Return whether neither number exceeds its limit."""
        return self.trainings <= most.trainings and self.processes <= most.processes


_SO_FAR = Counts()


def so_far() -> Counts:
    """Return the counts of this process until now."""
    return Counts(_SO_FAR.trainings, _SO_FAR.processes)


@cache
def budgets() -> dict[str, Counts]:
    """Return the budgets of `BUDGET.md`.

    **Returns:** budgets by the name of a test without its parameters, by a file for its fixtures, and for `ANY_TEST`
    and `ANY_SETUP`.
    """
    return {name: Counts(int(trainings), int(processes)) for name, trainings, processes in _rows()}


def _rows() -> list[tuple[str, str, str]]:
    return _ROW.findall(BUDGET.read_text(encoding="utf-8"))


def check(nodeid: str, spent: Counts, *, setup: bool = False) -> None:
    """Fail a test that exceeded its budget.

    **Arguments:**

    - `setup`: whether `spent` is that of the test's fixtures.
    """
    name, others = (nodeid.split("::")[0], ANY_SETUP) if setup else (nodeid.split("[")[0], ANY_TEST)
    most = budgets().get(name, budgets()[others])
    if not spent.within(most):
        kind = "its fixtures" if setup else "it"
        pytest.fail(f"{kind} had {spent}, the budget is {most}: see tests/BUDGET.md", pytrace=False)


def install(patch: pytest.MonkeyPatch) -> None:
    """Start counting, until the patch is undone."""
    import pytorch_lightning as pl  # imported late, as explained in conftest.py

    patch.setattr(pl.Trainer, "fit", _counted(pl.Trainer.fit, "trainings", lambda *_: True))
    patch.setattr(BaseProcess, "start", _counted(BaseProcess.start, "processes", lambda *_: True))
    patch.setattr(subprocess.Popen, "__init__", _counted(subprocess.Popen.__init__, "processes", _is_python))


def _counted(function: Callable[..., Any], kind: str, counts: Callable[..., bool]) -> Callable[..., Any]:
    @wraps(function)
    def counting(*args: Any, **kwargs: Any) -> Any:
        if counts(*args):
            setattr(_SO_FAR, kind, getattr(_SO_FAR, kind) + 1)
        return function(*args, **kwargs)

    return counting


def _is_python(_: Any, command: Any = (), *__: Any) -> bool:
    return not isinstance(command, str) and [*map(str, command)][:1] == [sys.executable]

"""Counts the networks that a test trains and the processes that it starts: a budget of counts holds on any machine.

Counted are trainings (`Trainer.fit`) and Python processes (subprocesses of this interpreter, workers) of the process
that runs the test; what those train or start themselves is theirs. `BUDGET.md` tells how many each test may have.
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
    """So many trainings and processes."""

    trainings: int = 0
    processes: int = 0

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(self.trainings - other.trainings, self.processes - other.processes)

    def within(self, most: "Counts") -> bool:
        """Whether neither is more than it may be."""
        return self.trainings <= most.trainings and self.processes <= most.processes


_SO_FAR = Counts()


def so_far() -> Counts:
    """What this process has trained and started until now."""
    return Counts(_SO_FAR.trainings, _SO_FAR.processes)


@cache
def budgets() -> dict[str, Counts]:
    """What `BUDGET.md` grants, by the name of a test without its parameters, the file of fixtures, or `ANY_TEST` and
    `ANY_SETUP`.
    """
    return {name: Counts(int(trainings), int(processes)) for name, trainings, processes in _rows()}


def _rows() -> list[tuple[str, str, str]]:
    return _ROW.findall(BUDGET.read_text(encoding="utf-8"))


def check(nodeid: str, spent: Counts, *, setup: bool = False) -> None:
    """Fails a test that has spent more than its budget, or whose fixtures have."""
    name, others = (nodeid.split("::")[0], ANY_SETUP) if setup else (nodeid.split("[")[0], ANY_TEST)
    most = budgets().get(name, budgets()[others])
    if not spent.within(most):
        kind = "its fixtures" if setup else "it"
        pytest.fail(f"{kind} had {spent}, the budget is {most}: see tests/BUDGET.md", pytrace=False)


def install(patch: pytest.MonkeyPatch) -> None:
    """Begins to count, until the patch is undone."""
    import pytorch_lightning as pl  # here, as in conftest.py

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

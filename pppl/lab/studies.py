"""A sweep, run now or before: what was tried, what mattered, and the best."""

from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

import pandas as pd

from ..config import Experiment, Sweep
from ..report.results_frame import ResultsFrame, table_as_html
from ..report.terminal import best_trials, sweep_as_text
from ..system.errors import UserError
from ..system.files import expand
from ..tables.schema import read_frame
from .commands import sweep


def study(what: Sweep | str | Path, out: str | Path | None = None, *, workers: int = 1, fast: bool = False) -> "Study":
    """A sweep's results: of a folder of before, or of a sweep that runs now, to its end, or goes on.

    **Arguments:**

    - `what`: a folder of `pppl sweep`, a YAML file of `sweeps/tune/`, or a `Sweep`.
    - `out`: where a sweep that runs leaves its results; `results/<name>` by default.
    - `fast`: whether a file's section `fast` is applied.

    Raises `UserError` where the folder holds no sweep, and as `pppl sweep` does.
    """
    if not isinstance(what, Sweep) and (what := expand(what)).is_dir():
        return Study(folder=what)
    settings = what if isinstance(what, Sweep) else Sweep.load(what, fast=fast)
    beside = Path() if isinstance(what, Sweep) else what.parent
    folder = Path("results") / settings.name if out is None else expand(out)
    sweep(settings, folder, workers=workers, beside=beside, fast=fast)
    return Study(folder=folder)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Study:
    """The results of a sweep."""

    folder: Path

    def __post_init__(self) -> None:
        if not (self.folder / "trials.csv").exists():
            raise UserError(f"{self.folder} has no trials.csv: name a folder that `pppl sweep` has written")

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial; what was tried comes last."""
        return self._frame("trials.csv")

    @cached_property
    def importances(self) -> ResultsFrame:
        """How much each setting matters, with intervals; empty where trials were too few."""
        there = (self.folder / "importances.csv").exists()
        return ResultsFrame(self._frame("importances.csv")) if there else ResultsFrame()

    def _frame(self, name: str) -> pd.DataFrame:
        try:
            return read_frame(self.folder / name)
        except (OSError, ValueError) as error:
            told = " ".join(str(error).split())
            raise UserError(
                f"{self.folder / name} is corrupted ({told}): run the sweep again, it is made anew"
            ) from error

    @property
    def best(self) -> Experiment:
        """The best trial as an experiment on test persons, with seeds of its own. Raises `UserError` without any."""
        return Experiment.load(self.folder / "best.yaml")

    def __repr__(self) -> str:
        return f"{self.folder}\n{sweep_as_text(self.trials)}"

    def _repr_html_(self) -> str:
        head, *rows = best_trials(self.trials)
        head = [key.rpartition(".")[2].replace("_", " ") for key in head]  # without sections, so that all fit a screen
        told = f"{self.folder}: the best of {len(self.trials)} trials, on validation persons"
        return f"<div><p>{escape(told)}</p>{table_as_html(head, rows)}</div>"

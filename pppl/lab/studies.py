"""The results of a sweep: its trials, the importance of each setting, and the best trial."""

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
from ..tables.schema import load_frame
from .commands import sweep


def study(what: Sweep | str | Path, out: str | Path | None = None, *, workers: int = 1, fast: bool = False) -> "Study":
    """Return the results of a sweep. Reopen a results folder, or run or continue a sweep to its end.

    **Arguments:**

    - `what`: a folder of `pppl sweep`, a YAML file of `sweeps/tune/`, or a `Sweep`.
    - `out`: the results folder of a sweep that is run; `results/<name>` by default.
    - `workers`: the number of worker processes of a sweep that is run.
    - `fast`: whether the section `fast` of a YAML file is applied.

    Raise `UserError` if the folder holds no sweep, or as `pppl sweep` does.

    ```python
    study("results/digits_ppp").best  # the best trial as an `Experiment`
    ```
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
    """The results of a sweep in a folder.

    ```python
    Study(folder=Path("results/digits_ppp")).trials
    ```
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", expand(self.folder))  # the dataclass is frozen
        if not (self.folder / "trials.csv").exists():
            raise UserError(f"{self.folder} has no trials.csv: name a folder that `pppl sweep` has written")

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial. The settings that were tried are the last columns."""
        return load_frame(self.folder / "trials.csv")

    @cached_property
    def importances(self) -> ResultsFrame:
        """The importance of each setting, with intervals; empty if there were too few trials."""
        exists = (self.folder / "importances.csv").exists()
        return ResultsFrame(load_frame(self.folder / "importances.csv")) if exists else ResultsFrame()

    @property
    def best(self) -> Experiment:
        """The best trial as an experiment on test persons, with its own seeds. Raise `UserError` if there is none."""
        return Experiment.load(self.folder / "best.yaml")

    def __repr__(self) -> str:
        return f"{self.folder}\n{sweep_as_text(self.trials)}"

    def _repr_html_(self) -> str:
        head, *rows = best_trials(self.trials)
        head = [key.rpartition(".")[2].replace("_", " ") for key in head]  # without sections, to fit a screen
        title = f"{self.folder}: the best of {len(self.trials)} trials, on validation persons"
        return f"<div><p>{escape(title)}</p>{table_as_html(head, rows)}</div>"

"""The kinds of results: how each is computed again from its `run.json`, compared and checked."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from ..config import Experiment, TextExperiment
from ..data import SOURCES
from ..data.catalogue import is_own_data
from ..data.own import is_missing
from ..system.errors import UserError
from ..tables.agreement import agreement
from ..tables.derived import draw_nothing
from ..tables.journal import TABLE, TIMED
from ..tables.schema import load_frame
from ..tables.summary import GROUP
from .check import check_persons
from .folders import command_of
from .kept_results import KeptResults
from .load import open_experiment
from .merge import FinishedResults
from .person_plan import PersonPlan
from .plan import Plan, run_plan, stale_methods
from .recipes import weights_sha256
from .task_check import check_tasks
from .task_plan import TaskPlan

AnyPlan = TypeVar("AnyPlan", bound=Plan[Any, Any])


class MissingInputs(UserError):
    """Data, weights or packages that results depend on are missing or have changed."""


class ResultKind(ABC):
    """A kind of results."""

    name: str

    @abstractmethod
    def made(self, config: Mapping[str, Any]) -> bool:
        """Return whether results with these settings are of this kind."""

    @abstractmethod
    def check(self, kept: KeptResults) -> str:
        """Return what to know about the data before anything is computed; mostly nothing.

        Raise `MissingInputs` if data or packages are missing, `UserError` if the settings are no longer valid.
        """

    @abstractmethod
    def remake(self, kept: KeptResults, folder: Path, workers: int) -> None:
        """Compute the results again in `folder`, or what is missing of them there."""

    @abstractmethod
    def agreement(self, kept: Path, again: Path) -> pd.DataFrame:
        """Return how two results folders agree, in the form of `agreement`."""

    def unfinished(self, folder: Path) -> str:
        """Return why results that were begun have no tables yet, and the remedy; empty if they are finished."""
        return ""

    @abstractmethod
    def faults(self, kept: KeptResults) -> list[str]:
        """Return the faults of a folder, one line each: what is missing, contradictory or stale.

        Raise `UserError` if it cannot be read.
        """


def kind_of(kept: KeptResults, kinds: Sequence[ResultKind]) -> ResultKind | None:
    """Return the kind of a results folder; None if it is of none of these."""
    return next((kind for kind in kinds if kind.made(kept.config)), None)


def find_faults(folder: Path, kinds: Sequence[ResultKind]) -> list[str]:
    """Return the faults of a results folder. Raise `UserError` if it holds no finished results of these kinds."""
    if unfinished := next(filter(None, (kind.unfinished(folder) for kind in kinds)), ""):
        raise UserError(unfinished)
    kept = KeptResults.read(folder)
    if command_of(folder, kept.run) == "train":
        raise UserError(f"{folder} holds networks of `pppl train`, which has no rows to check: name another folder")
    kind = kind_of(kept, kinds)
    if kind is None:
        raise UserError(f"{folder} has no run.json with the settings that made its results: run the experiment again")
    return kind.faults(kept)


class ComparisonKind(ResultKind, Generic[AnyPlan]):
    """The results of a comparison, which a `Plan` makes."""

    @abstractmethod
    def plan(self, kept: KeptResults, out: Path) -> AnyPlan:
        """Return the plan of the same settings today, with results in `out`.

        Raise `UserError` if settings are no longer valid, or data or packages are missing.
        """

    @abstractmethod
    def table_faults(self, kept: KeptResults, plan: AnyPlan | UserError) -> Iterator[str]:
        """Yield the faults of the tables.

        **Arguments:**

        - `plan`: today's plan, or why there is none.
        """

    def remake(self, kept: KeptResults, folder: Path, workers: int) -> None:
        """Run the comparison again in `folder`, or resume it there."""
        run_plan(self.plan(kept, folder), workers=workers, draw=draw_nothing)

    def faults(self, kept: KeptResults) -> list[str]:
        """Return the faults of the tables, and which methods have stale rows."""
        with TemporaryDirectory() as scratch:
            try:
                plan = self.plan(kept, Path(scratch))
            except UserError as error:
                plan = error
            return [*self.table_faults(kept, plan), *_stale_rows(kept, plan)]


def _stale_rows(kept: KeptResults, plan: Plan[Any, Any] | UserError) -> Iterator[str]:
    """Yield the methods whose rows are stale, by the reason."""
    if isinstance(plan, UserError):
        yield f"whether rows are current cannot be decided: {plan}"
        return
    for why, methods in stale_methods(kept.stamps, plan.stamps).items():
        renewed = "; after a refactoring `pppl results confirm` renews their stamp"
        yield f"rows of {', '.join(methods)} are {why}{renewed * ('settings that are gone' not in why)}"


class PersonResults(ComparisonKind[PersonPlan]):
    """The results of `pppl compare`."""

    name = "comparison"

    def made(self, config: Mapping[str, Any]) -> bool:
        """Return whether the settings have persons."""
        return "persons" in config

    def plan(self, kept: KeptResults, out: Path) -> PersonPlan:
        """Return the plan of the same persons and methods."""
        return PersonPlan(kept.settings(kept.config, Experiment), out)

    def check(self, kept: KeptResults) -> str:
        """Return a note if features of recordings differ from those of the results."""
        return check_data(kept, kept.settings(kept.config, Experiment))

    def agreement(self, kept: Path, again: Path) -> pd.DataFrame:
        """Return how the scores of all series agree."""
        tables = [load_frame(folder / "summary.csv") for folder in (kept, again)]
        one, other = (each.assign(seen=np.where(each["seen"], "seen", "unseen")) for each in tables)
        return agreement(one, other, keys=GROUP, value="score", ignored=[TIMED])

    def table_faults(self, kept: KeptResults, plan: PersonPlan | UserError) -> Iterator[str]:
        """Yield what is missing or contradictory in the table, and derived tables that do not follow from it."""
        return check_persons(FinishedResults.read(kept.folder), plan)


class TextResults(ComparisonKind[TaskPlan]):
    """The results of `pppl tasks`."""

    name = "tasks"

    def made(self, config: Mapping[str, Any]) -> bool:
        """Return whether the settings have tasks."""
        return "tasks" in config

    def plan(self, kept: KeptResults, out: Path) -> TaskPlan:
        """Return the plan of the same tasks and methods."""
        return TaskPlan(kept.settings(kept.config, TextExperiment), out)

    def check(self, kept: KeptResults) -> str:
        """Return nothing. Raise `MissingInputs` if texts or encoder are missing or have changed."""
        with TemporaryDirectory() as scratch:
            try:
                plan = self.plan(kept, Path(scratch))
            except UserError as error:
                raise MissingInputs(str(error)) from error
        if plan.weights_sha256 != kept.run.get("weights_sha256"):
            raise MissingInputs(f"encoder {plan.experiment.encoder} has other weights than that of these results")
        before = kept.run.get("dataset_sha256") or {}
        changed = [name for name, prepared in plan.prepared.items() if prepared.sha256 != before.get(name)]
        if changed:
            raise MissingInputs(f"task {changed[0]} has other texts than that of these results")
        return ""

    def agreement(self, kept: Path, again: Path) -> pd.DataFrame:
        """Return how the scores of all methods and tasks agree."""
        one, other = (load_frame(folder / "summary.csv") for folder in (kept, again))
        measured = ["peak_memory_mib", "train_seconds"]
        return agreement(one, other, keys=["task", "encoder", "method", "rate"], value="score", ignored=measured)

    def table_faults(self, kept: KeptResults, plan: TaskPlan | UserError) -> Iterator[str]:
        """Yield what is missing or contradictory in the table, and a summary that does not follow from it."""
        tables = (load_frame(kept.folder / name) for name in (TABLE, "summary.csv"))
        return check_tasks(kept.settings(kept.config, TextExperiment), *tables)


KINDS: tuple[ResultKind, ...] = (PersonResults(), TextResults())


def check_data(kept: KeptResults, experiment: Experiment) -> str:
    """Return what to know about the data of results on persons, as `ResultKind.check` does.

    Features computed from recordings differ in their last bits between processors. For these data sets, another hash
    gives a note. For stored data, it is an error.

    Raise `MissingInputs` if data or weights are missing or have changed.
    """
    name = experiment.data.name
    source = SOURCES.get(name)
    if source is not None and not source.present():
        raise MissingInputs(str(source.missing(name)))
    if is_own_data(name) and is_missing(name):
        raise MissingInputs(f"data set {name} is not there: put it where it was")
    try:
        weights = weights_sha256(experiment)
    except UserError as error:
        raise MissingInputs(str(error)) from error
    if weights != kept.run.get("weights_sha256"):
        raise MissingInputs(f"{experiment.backbone.weights} has other weights than those of these results")
    _, dataset = open_experiment(experiment)
    if dataset.sha256 == kept.run.get("dataset_sha256"):
        return ""
    if dataset.log_mel is None:
        raise MissingInputs(f"data set {name} is another than that of these results, by its SHA-256")
    return "features of recordings differ from those of these results, as they do on another processor"

"""How results of each kind are made again from their `run.json`, and compared with those that were kept."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ..config import Experiment, TextExperiment, Tree
from ..config.older import current_names
from ..config.reading import from_dict
from ..data import SOURCES
from ..personalizers import make_personalizers
from ..system.errors import UserError
from ..tables.agreement import agreement
from ..tables.journal import TABLE, TIMED
from ..tables.provenance import read_run
from ..tables.schema import load_frame
from ..tables.summary import GROUP
from .check import check, stale_methods
from .compare import compare
from .freshness import combine_task_stamps
from .load import open_experiment
from .recipes import weights_sha256
from .task_checking import check_tasks
from .task_comparison import compare_tasks, stamps_today
from .task_runs import encoder_sha256, prepared_task

Settings = TypeVar("Settings", bound=Tree)
# What all rows of a comparison depend on, whatever their methods read.
_SHARED = {"data", "persons", "backbone", "training"}


class MissingInputs(UserError):
    """What results were made of is not here, or is something else: they cannot be made again."""


@dataclass(frozen=True, kw_only=True)
class KeptResults:
    """A results folder, and its `run.json`."""

    folder: Path
    run: Mapping[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """Settings as they were read when the results were made."""
        return self.run["config"]

    def settings(self, config: Mapping[str, Any], kind: type[Settings]) -> Settings:
        """Settings as today's version has them; what came later is at its default.

        One that is gone since is left out where no method of a comparison reads its section.

        Raises `UserError` where it is read, or a value has become impossible.
        """
        tree, gone = _known(current_names(config), kind().to_dict())
        try:
            settings = from_dict(tree, kind)
        except UserError as error:
            raise UserError(f"its settings are of another version ({error}): {self._remedy}") from error
        read = [key for key in gone if not isinstance(settings, Experiment) or key.split(".")[0] in _read_by(settings)]
        if read:
            raise UserError(f"its setting {read[0]} is of another version: {self._remedy}")
        return settings

    @property
    def _remedy(self) -> str:
        return f"check out {self.run.get('git_commit')}, which made them"


class ResultKind(ABC):
    """A kind of results."""

    name: str

    @abstractmethod
    def made(self, config: Mapping[str, Any]) -> bool:
        """Whether results with these settings are of this kind."""

    @abstractmethod
    def check(self, kept: KeptResults) -> str:
        """What to know of the data before anything is computed; mostly nothing.

        Raises `MissingInputs` where data or packages are not here, `UserError` where the settings mean nothing today.
        """

    @abstractmethod
    def remake(self, kept: KeptResults, folder: Path, workers: int) -> None:
        """Computes them in `folder`, or what is missing of them there."""

    @abstractmethod
    def agreement(self, kept: Path, again: Path) -> pd.DataFrame:
        """Of two results folders, as `agreement` makes it."""

    @abstractmethod
    def faults(self, kept: KeptResults) -> list[str]:
        """What is wrong with a folder, one line each: what is missing, contradictory or stale.

        Raises `UserError` where it cannot be read.
        """


def find_faults(folder: Path, kinds: Sequence[ResultKind]) -> list[str]:
    """What is wrong with a results folder. Raises `UserError` where it holds no finished results of these kinds."""
    run = read_run(folder)
    config = run.get("config")
    kind = next((each for each in kinds if isinstance(config, dict) and each.made(config)), None)
    if kind is None:
        raise UserError(f"{folder} has no run.json that tells how results were made: run the experiment again")
    return kind.faults(KeptResults(folder=folder, run=run))


class PersonResults(ResultKind):
    """What `pppl compare` makes."""

    name = "comparison"

    def made(self, config: Mapping[str, Any]) -> bool:
        return "persons" in config

    def check(self, kept: KeptResults) -> str:
        return check_data(kept, kept.settings(kept.config, Experiment))

    def remake(self, kept: KeptResults, folder: Path, workers: int) -> None:
        compare(kept.settings(kept.config, Experiment), folder, workers=workers)

    def agreement(self, kept: Path, again: Path) -> pd.DataFrame:
        tables = [load_frame(folder / "summary.csv") for folder in (kept, again)]
        one, other = (each.assign(seen=np.where(each["seen"], "seen", "unseen")) for each in tables)
        return agreement(one, other, keys=GROUP, value="score", ignored=[TIMED])

    def faults(self, kept: KeptResults) -> list[str]:
        return check(kept.folder)


class TextResults(ResultKind):
    """What `pppl tasks` makes."""

    name = "tasks"

    def made(self, config: Mapping[str, Any]) -> bool:
        return "tasks" in config

    def check(self, kept: KeptResults) -> str:
        experiment = kept.settings(kept.config, TextExperiment)
        try:
            encoder = encoder_sha256(experiment.encoder)
            data = {
                name: prepared_task(experiment.encoder, name, experiment.examples).sha256 for name in experiment.tasks
            }
        except UserError as error:
            raise MissingInputs(str(error)) from error
        if encoder != kept.run.get("weights_sha256"):
            raise MissingInputs(f"encoder {experiment.encoder} has other weights than that of these results")
        before = kept.run.get("dataset_sha256") or {}
        others = [name for name, sha256 in data.items() if sha256 != before.get(name)]
        if others:
            raise MissingInputs(f"task {others[0]} has other texts than that of these results")
        return ""

    def remake(self, kept: KeptResults, folder: Path, workers: int) -> None:
        compare_tasks(kept.settings(kept.config, TextExperiment), folder, workers=workers)

    def agreement(self, kept: Path, again: Path) -> pd.DataFrame:
        one, other = (load_frame(folder / "summary.csv") for folder in (kept, again))
        measured = ["peak_memory_mib", "train_seconds"]
        return agreement(one, other, keys=["task", "encoder", "method", "rate"], value="score", ignored=measured)

    def faults(self, kept: KeptResults) -> list[str]:
        experiment = kept.settings(kept.config, TextExperiment)
        tables = (load_frame(kept.folder / name) for name in (TABLE, "summary.csv"))
        return [*check_tasks(experiment, *tables), *self._outdated(kept, experiment)]

    def _outdated(self, kept: KeptResults, experiment: TextExperiment) -> Iterator[str]:
        try:
            self.check(kept)
            current = combine_task_stamps(stamps_today(experiment))
        except UserError as error:
            yield f"whether rows are current cannot be told: {error}"
            return
        told = kept.run.get("fingerprints") or {}
        yield from stale_methods({method: told.get(method) for method in experiment.methods}, current)


def check_data(kept: KeptResults, experiment: Experiment) -> str:
    """As `Kind.check`, for results on persons.

    Features that are computed of recordings differ in their last bits between processors, so that another hash is no
    reason against these; stored data are the same or are others.
    """
    name = experiment.data.name
    source = SOURCES.get(name)
    if source is not None and not source.present():
        raise MissingInputs(str(source.missing(name)))
    if name.endswith(".npz") and not Path(name).exists():
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
    if source is None or source.log_mel is None:
        raise MissingInputs(f"data set {name} is another than that of these results, by its SHA-256")
    return "features of recordings differ from those of these results, as they do on another processor"


def _known(tree: Mapping[str, Any], usual: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, Any], list[str]]:
    """Of settings those that are known, and the dotted keys of the others."""
    known: dict[str, Any] = {}
    gone: list[str] = []
    for key, value in tree.items():
        if key not in usual:
            gone.append(prefix + key)
        elif isinstance(value, Mapping) and usual[key]:  # a section that is empty by default takes any key
            known[key], inside = _known(value, usual[key], f"{prefix}{key}.")
            gone += inside
        else:
            known[key] = value
    return known, gone


def _read_by(experiment: Experiment) -> set[str]:
    """Sections that rows of an experiment depend on."""
    return _SHARED.union(*(each.depends_on() for each in make_personalizers(experiment)))

"""A comparison or a training of before: its settings, tables, persons and networks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from torch import nn

from ..comparison.global_models import global_model
from ..comparison.load import draw_groups, load_split
from ..comparison.units import accuracy
from ..config import Experiment, TextExperiment
from ..config.reading import from_dict
from ..data import IdentityDataset, Person
from ..deploy.trained_run import TrainedRun
from ..personalizers import GlobalModel, Personalizer, PersonalModel, make_own_personalizer
from ..report.results_frame import ResultsFrame
from ..system.errors import UserError
from ..system.files import expand
from ..tables.provenance import read_run
from ..tables.schema import read_frame


def load_run(folder: str | Path, *, seed: int | None = None) -> "LoadedRun":
    """What `compare`, `pppl compare`, `pppl tasks` or `pppl train` left in a folder, rebuilt.

    **Arguments:**

    - `seed`: of persons and networks; the first of the experiment by default.

    Raises `UserError` where the folder holds no such run, or has not this seed.
    """
    folder = expand(folder)
    about = read_run(folder)
    if "trials" in about:
        raise UserError(f"{folder} holds a sweep: study({str(folder)!r}) opens it")
    if "config" not in about:
        raise UserError(f"{folder} has no run.json: name a folder that `pppl compare` or `pppl train` has written")
    kind = TextExperiment if "tasks" in about["config"] else Experiment
    experiment = from_dict(about["config"], kind)
    seed = experiment.seeds[0] if seed is None else seed
    if seed not in experiment.seeds:
        raise UserError(f"{folder} has no seed {seed}: choose from {', '.join(map(str, experiment.seeds))}")
    return LoadedRun(folder=folder, about=about, settings=experiment, seed=seed)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LoadedRun:
    """A run of before.

    - `about`: its `run.json`: commit, hardware, package versions.
    - `settings`: all of them; `experiment` where it compares persons.
    - `seed`: of persons and networks.
    """

    folder: Path
    about: Mapping[str, Any]
    settings: Experiment | TextExperiment
    seed: int

    @property
    def experiment(self) -> Experiment:
        """Raises `UserError` where the run is about text tasks, which have no persons."""
        if not isinstance(self.settings, Experiment):
            raise UserError(f"{self.folder} compares text tasks: it has tables, and neither persons nor gates")
        return self.settings

    def frame(self, name: str) -> ResultsFrame:
        """A table of the folder, such as `effort.csv`. Raises `UserError` where it is not there or damaged."""
        path = self.folder / name
        if not path.exists():
            there = ", ".join(sorted(each.name for each in self.folder.glob("[!.]*.csv"))) or "no table"
            raise UserError(f"{self.folder} has no {name}: it has {there}")
        try:
            return ResultsFrame(read_frame(path))
        except ValueError as error:
            raise UserError(f"{path} is corrupted ({' '.join(str(error).split())}): remake it") from error

    def changed(self, **settings: Any) -> "LoadedRun":
        """The same persons with other settings, as `Experiment.replace` takes them: `changed(pruning__round_to=8)`."""
        return replace(self, settings=self.experiment.replace(**settings))

    @cached_property
    def summary(self) -> ResultsFrame:
        """Means with intervals."""
        return self.frame("summary.csv")

    @cached_property
    def table(self) -> ResultsFrame:
        """One row per person, method, control and budget; of text tasks one per task, method and seed."""
        return self.frame("table.csv")

    @cached_property
    def dataset(self) -> IdentityDataset:
        """The data as this seed splits them. Raises `UserError` where they are not at hand."""
        return load_split(self.experiment, self.seed)

    @cached_property
    def persons(self) -> list[Person]:
        """Those of this seed: of all sizes, seen and unseen."""
        return [person for group in draw_groups(self.experiment, self.seed) for person in group.persons]

    def global_model(self, method: str = "ppp") -> GlobalModel:
        """The networks that a method begins with: the folder's own, else the cache's, else trained now.

        Raises `UserError` for an unknown method, or where the folder's networks are damaged.
        """
        if method not in self._models:
            self._models[method] = self._load(self._personalizer(method))
        return self._models[method]

    @cached_property
    def _models(self) -> dict[str, GlobalModel]:
        return {}

    def _load(self, personalizer: Personalizer) -> GlobalModel:
        if (self.folder / "models").is_dir():
            return TrainedRun.open(self.folder, self.seed).model(personalizer)
        return global_model(personalizer.experiment, self.dataset, self.seed, self.folder)

    def _personalizer(self, method: str) -> Personalizer:
        return make_own_personalizer(self.experiment.replace(seeds=[self.seed]), method)

    def personalize(self, person: Person, *, method: str = "ppp", budget: float = 0.1) -> PersonalModel:
        """A person's own network, within a fraction of the full network's cost.

        Raises `UserError` for an unknown method, or a budget that is too small.
        """
        own = self._personalizer(method)
        support = person.support_of(self.dataset)
        return own.personalize(self.global_model(method), support, budget if own.prunes else 1.0)

    def accuracy(self, network: nn.Module | PersonalModel, person: Person) -> float:
        """Of a network on a person's queries, among all classes of the data."""
        module = network.module if isinstance(network, PersonalModel) else network
        return accuracy(module, self.dataset.inputs(person.query), self.dataset.y[person.query])

    def __repr__(self) -> str:
        name, commit = self.settings.name, str(self.about.get("git_commit", "unknown"))[:12]
        methods, seeds = len(self.settings.methods), ", ".join(map(str, self.settings.seeds))
        return f"{self.folder}: {name}, {methods} methods, seeds {seeds}, commit {commit}"

    def _repr_html_(self) -> str:
        tables = ", ".join(f"<code>{escape(each.name)}</code>" for each in sorted(self.folder.glob("[!.]*.csv")))
        return f"<div><p>{escape(repr(self))}</p><p>tables: {tables}</p></div>"

"""A finished comparison or training, reopened: its settings, tables, persons and networks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from torch import nn

from ..comparison.global_models import global_model
from ..comparison.load import draw_groups, load_split
from ..comparison.units import evaluate
from ..config import Experiment, TextExperiment
from ..config.salvage import explaining, salvage
from ..data import IdentityDataset, Person
from ..deploy.trained_run import TrainedRun
from ..figures import Looks
from ..personalizers import GlobalModel, Personalizer, PersonalModel, make_own_personalizer
from ..report.results_frame import ResultsFrame
from ..system.errors import UserError
from ..system.files import expand
from ..system.tracking import notice
from ..tables.journal import TABLE
from ..tables.provenance import read_run
from ..tables.schema import existing, load_frame
from ..tasks import task_of


def load_run(folder: str | Path, *, seed: int | None = None) -> "LoadedRun":
    """Reopen the results of `compare`, `pppl compare`, `pppl tasks` or `pppl train` in a folder.

    **Arguments:**

    - `seed`: the seed of persons and networks; the first of the experiment by default.

    A run opens even if its plugins cannot be loaded here, with a notice. Only what they add is then missing.

    Raise `UserError` if the folder holds no such run, or the run lacks this seed.

    ```python
    run = load_run("results/digits")
    run.summary
    ```
    """
    folder = expand(folder)
    about = read_run(folder)
    if "trials" in about:
        raise UserError(f"{folder} holds a sweep: study({str(folder)!r}) opens it")
    if "config" not in about:
        raise UserError(f"{folder} has no run.json: name a folder that `pppl compare` or `pppl train` has written")
    kind = TextExperiment if "tasks" in about["config"] else Experiment
    experiment, lost = salvage(kind, about["config"], folder)
    if lost:
        notice(f"{folder}: {lost}; its tables, its persons and all other methods are there")
    seed = experiment.seeds[0] if seed is None else seed
    if seed not in experiment.seeds:
        raise UserError(f"{folder} has no seed {seed}: choose from {', '.join(map(str, experiment.seeds))}")
    return LoadedRun(folder=folder, about=about, settings=experiment, seed=seed, lost=lost)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LoadedRun:
    """A finished run.

    - `about`: its `run.json`: commit, hardware, package versions.
    - `settings`: its experiment, on persons or on text tasks.
    - `seed`: the seed of persons and networks.
    - `lost`: why plugins of the run cannot be loaded; empty if all can. What they add is not available, and errors
      about it say why.

    ```python
    run = load_run("results/digits")
    person = run.persons[0]
    run.accuracy(run.personalize(person, method="ppp", budget=0.1), person)
    ```
    """

    folder: Path
    about: Mapping[str, Any]
    settings: Experiment | TextExperiment
    seed: int
    lost: str = ""

    @property
    def experiment(self) -> Experiment:
        """The experiment of a run on persons. Raise `UserError` for a run on text tasks, which has no persons."""
        if not isinstance(self.settings, Experiment):
            raise UserError(f"{self.folder} compares text tasks: it has tables, but no persons and no gates")
        return self.settings

    @property
    def looks(self) -> Looks:
        """How its methods look in figures: `accuracy_vs_macs(rows, ax, looks=run.looks)`."""
        return Looks.of_run(self.about)

    def frame(self, name: str) -> ResultsFrame:
        """Return a table of the folder, such as `effort.csv`. Raise `UserError` if it is missing or damaged."""
        path = existing(self.folder / name)
        if not path.exists():
            raise UserError(f"{self.folder} has no {name}: it has {', '.join(self._tables) or 'no table'}")
        return ResultsFrame(load_frame(path, "remake it"))

    @property
    def _tables(self) -> list[str]:
        return sorted(path.name for end in ("csv", "csv.gz") for path in self.folder.glob(f"[!.]*.{end}"))

    def changed(self, **settings: Any) -> "LoadedRun":
        """Return the same run with other settings, in the form that `Experiment.replace` takes.

        ```python
        run.changed(pruning__round_to=8)
        ```
        """
        return replace(self, settings=self.experiment.replace(**settings))

    @cached_property
    def summary(self) -> ResultsFrame:
        """The means with their intervals."""
        return self.frame("summary.csv")

    @cached_property
    def table(self) -> ResultsFrame:
        """One row per person, method, control and budget; for text tasks, one row per task, method and seed."""
        return self.frame(TABLE)

    @cached_property
    def dataset(self) -> IdentityDataset:
        """The data, split by this seed. Raise `UserError` if they are not present."""
        with explaining(self.lost):
            return load_split(self.experiment, self.seed)

    @cached_property
    def persons(self) -> list[Person]:
        """The persons of this seed: of all sizes, seen and unseen."""
        with explaining(self.lost):
            return [person for group in draw_groups(self.experiment, self.seed) for person in group.persons]

    def global_model(self, method: str = "full") -> GlobalModel:
        """Return the networks that a method starts from: those of the folder, else of the cache, else trained now.

        Raise `UserError` for an unknown method, or if the folder's networks are damaged.
        """
        if method not in self._models:
            self._models[method] = self._load(self.personalizer(method))
        return self._models[method]

    @cached_property
    def _models(self) -> dict[str, GlobalModel]:
        return {}

    def _load(self, personalizer: Personalizer) -> GlobalModel:
        if (self.folder / "models").is_dir():
            return TrainedRun.open(self.folder, self.seed).model(personalizer)
        with explaining(self.lost):
            return global_model(personalizer.experiment, self.dataset, self.seed, self.folder)

    def personalizer(self, method: str) -> Personalizer:
        """Return a method as the experiment sets it, which is given a person's own samples.

        Raise `UserError` for an unknown method, or for settings that it cannot have.
        """
        with explaining(self.lost):
            return make_own_personalizer(self.experiment.replace(seeds=[self.seed]), method)

    def personalize(self, person: Person, *, method: str = "ppp", budget: float = 0.1) -> PersonalModel:
        """Return a person's own network within a budget, a fraction of the full network's cost.

        Raise `UserError` for an unknown method, a budget that is too small, or what is no person.
        """
        if not isinstance(person, Person):
            raise UserError(f"person is {person!r}: give one of the run's `persons`, such as run.persons[0]")
        own = self.personalizer(method)
        support = person.support_of(self.dataset)
        return own.personalize(self.global_model(method), support, budget if own.prunes else 1.0)

    def accuracy(self, network: nn.Module | PersonalModel, person: Person) -> float:
        """Return the accuracy of a network on a person's queries, among all classes of the data."""
        module = network.module if isinstance(network, PersonalModel) else network
        task, x = task_of(self.dataset), self.dataset.inputs(person.query)
        return evaluate(module, task, self.dataset, person.query, x)[task.metrics[0].name]

    def __repr__(self) -> str:
        name, commit = self.settings.name, str(self.about.get("git_commit", "unknown"))[:12]
        methods, seeds = len(self.settings.methods), ", ".join(map(str, self.settings.seeds))
        return f"{self.folder}: {name}, {methods} methods, seeds {seeds}, commit {commit}"

    def _repr_html_(self) -> str:
        tables = ", ".join(f"<code>{escape(name)}</code>" for name in self._tables)
        return f"<div><p>{escape(repr(self))}</p><p>tables: {tables}</p></div>"

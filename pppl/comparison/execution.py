"""The computation of the missing rows of a comparison by worker processes."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby
from pathlib import Path

import torch

from ..config import Experiment
from ..data import GroupName, IdentityDataset
from ..personalizers import make_personalizers
from ..system import progress
from ..system.errors import UserError
from ..system.processes import Workers, threads
from ..tables.journal import Journal, Row, key_of
from ..tables.metric import metric_of
from ..tables.provenance import Stamp
from ..training.lightning import device_count
from .global_models import cache_path, global_model, is_cached, load_or_train
from .load import load_split
from .recipes import recipes, weights_sha256
from .units import PersonGroup, PersonUnit, Workbench


@dataclass(frozen=True, kw_only=True)
class _Training:
    """A network to train: a task for a worker."""

    experiment: Experiment
    kind: str
    seed: int
    folder: Path


@dataclass(frozen=True, kw_only=True)
class _SharedOutput:
    """An output of a method that all persons share at one budget, kept in the cache: a task for a worker."""

    experiment: Experiment
    method: str
    budget: float
    seed: int
    folder: Path


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Some persons of one group: a task for a worker."""

    experiment: Experiment
    seed: int
    group: GroupName
    indices: tuple[int, ...]
    folder: Path
    fingerprints: Mapping[str, Stamp]


# Small chunks spread the load evenly and keep the progress bar moving.
_PERSONS_PER_CHUNK = 4
# Tables round smaller differences away.
_TOLERANCE = 1e-6


def compute_missing(missing: Sequence[PersonUnit], *, total: int, journal: Journal, pool: Workers) -> None:
    """Compute the missing units in the pool's processes; each process appends finished rows to the journal.

    Networks come first, then the outputs that persons share, then persons.

    **Arguments:**

    - `total`: the number of units in the whole comparison, for the progress bar.
    """
    if not missing:
        return
    experiment, folder = missing[0].among.experiment, journal.path.parent
    trainings = {
        cache_path(recipe): _Training(experiment=experiment, kind=recipe.kind, seed=recipe.seed, folder=folder)
        for seed in dict.fromkeys(unit.among.seed for unit in missing)
        for recipe in recipes(experiment, load_split(experiment, seed), seed)
        if not is_cached(recipe)
    }.values()
    shared = _shared_outputs(missing, journal)
    chunks, step = [], _PERSONS_PER_CHUNK
    for among, units in groupby(missing, key=lambda unit: unit.among):
        indices = tuple(unit.index for unit in units)
        task = partial(
            _Chunk,
            experiment=experiment,
            seed=among.seed,
            group=among.name,
            folder=folder,
            fingerprints=journal.fingerprints,
        )
        chunks += [task(indices=indices[at : at + step]) for at in range(0, len(indices), step)]
    start = os.getpid() % len(chunks)  # a second process begins with other chunks
    chunks = chunks[start:] + chunks[:start]
    training = experiment.training
    cores = training.threads * (device_count(training.devices) if trainings or shared else 1)
    at_once = max(1, pool.count // cores)
    full = [task for task in trainings if task.kind == "full"]  # training of other networks may start from it
    gated = [task for task in trainings if task.kind != "full"]
    with progress.bar(total=len(trainings) + len(shared), desc="networks") as bar:
        for _ in chain(
            pool.spread(_train, full, at_once=at_once),
            pool.spread(_train, gated, at_once=at_once),
            pool.spread(_make_shared_output, shared, at_once=at_once),
        ):
            bar.update()
    with progress.bar(total=total, initial=total - len(missing), desc="persons", unit="person") as bar:
        for count in pool.spread(_compute_chunk, chunks):
            bar.update(count)


def _train(task: _Training) -> None:
    dataset = load_split(task.experiment, task.seed)
    (recipe,) = (r for r in recipes(task.experiment, dataset, task.seed) if r.kind == task.kind)
    with threads(task.experiment.training.threads):
        load_or_train(recipe, task.experiment, dataset, task.folder)


def _shared_outputs(missing: Sequence[PersonUnit], journal: Journal) -> list[_SharedOutput]:
    """List the expensive outputs that rows of several persons share, one task each."""
    tasks: dict[tuple[object, ...], _SharedOutput] = {}
    for unit in missing:
        among = unit.among
        for personalizer, label in unit.labels:
            part = personalizer.for_all
            if part is not None and key_of(label) not in journal.rows:
                names = {"method": personalizer.method, "budget": label["budget"], "seed": among.seed}
                task = _SharedOutput(experiment=among.experiment, folder=journal.path.parent, **names)
                tasks.setdefault((part.method, repr(part.depends_on()), label["budget"], among.seed), task)
    return list(tasks.values())


def _make_shared_output(task: _SharedOutput) -> None:
    dataset = load_split(task.experiment, task.seed)
    model = global_model(task.experiment, dataset, task.seed, task.folder).to(_device())
    (personalizer,) = (each for each in make_personalizers(task.experiment) if each.method == task.method)
    assert personalizer.for_all is not None
    personalizer.for_all.personalize(model, model.train, task.budget)


def _device() -> torch.device:
    """Return the device on which persons are personalized.

    Shared outputs are computed there, too: the cache names them by their exact bits, which differ between devices.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _compute_chunk(chunk: _Chunk) -> int:
    """Compute the missing rows of a chunk, append them person by person, and return the number of persons."""
    _seed_cache.switch_to(_SeedInputs.from_chunk(chunk))
    bench, units = _seed_cache.workbench(), _seed_cache.units(chunk.group)
    journal = Journal(chunk.folder, chunk.fingerprints)
    for index in chunk.indices:
        journal.read()  # another process may have written to it
        if rows := bench.rows(units[index], known=journal.rows.keys()):
            _check_networks(rows, journal, units[index])
            journal.append(rows)
    return len(chunk.indices)


def _check_networks(rows: Sequence[Row], journal: Journal, unit: PersonUnit) -> None:
    """Raise `UserError` if finished rows are of other networks, which happens if another machine trained them."""
    for key in unit.keys:
        finished = journal.rows.get(key)
        if finished is not None and abs(finished["score_full"] - rows[0]["score_full"]) > _TOLERANCE:
            metric = metric_of(finished)
            there, here = (f"{metric.show(row['score_full'])}{metric.unit}" for row in (finished, rows[0]))
            raise UserError(
                f"{journal.path.parent} has rows of other networks: the {metric.title} of the full one on "
                f"{unit.person.identity} is {there} there, {here} here; name another --out"
            )


@dataclass(frozen=True, kw_only=True)
class _SeedInputs:
    """The inputs that all chunks of a seed share; `text` identifies the experiment, its data and its weights."""

    text: str
    seed: int
    folder: Path
    experiment: Experiment = field(compare=False)

    @staticmethod
    def from_chunk(chunk: _Chunk) -> "_SeedInputs":
        """Return the inputs of a chunk's seed."""
        experiment = chunk.experiment
        parts = (experiment, load_split(experiment, chunk.seed).sha256, weights_sha256(experiment))
        return _SeedInputs(text=repr(parts), seed=chunk.seed, folder=chunk.folder, experiment=experiment)

    @property
    def dataset(self) -> IdentityDataset:
        """The data set as this seed splits it."""
        return load_split(self.experiment, self.seed)


class _SeedCache:
    """The global model and persons of one seed, which a worker keeps for all chunks of this seed."""

    def __init__(self) -> None:
        self._inputs: _SeedInputs | None = None
        self._bench: Workbench | None = None
        self._units: dict[GroupName, list[PersonUnit]] = {}

    def switch_to(self, inputs: _SeedInputs) -> None:
        """Drop everything if the seed or the experiment is another one."""
        if self._inputs != inputs:
            self._inputs, self._bench, self._units = inputs, None, {}

    def workbench(self) -> Workbench:
        """Return the workbench with the seed's global model."""
        inputs = self._inputs
        assert inputs is not None
        if self._bench is None:
            model = global_model(inputs.experiment, inputs.dataset, inputs.seed, inputs.folder)
            self._bench = Workbench(model.to(_device()), _device())
        return self._bench

    def units(self, name: GroupName) -> list[PersonUnit]:
        """Return the persons of one group."""
        inputs = self._inputs
        assert inputs is not None
        if name not in self._units:
            self._units[name] = PersonGroup.draw(inputs.experiment, inputs.dataset, inputs.seed, name).units()
        return self._units[name]


_seed_cache = _SeedCache()

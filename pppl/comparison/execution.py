"""What is missing of a comparison, computed by worker processes."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby
from pathlib import Path

import torch

from ..config import Experiment
from ..data import IdentityDataset
from ..personalizers import make_personalizers
from ..system import progress
from ..system.errors import UserError
from ..system.processes import Workers, threads
from ..tables.journal import Journal, Row, key_of
from ..tables.provenance import Stamp
from ..training.lightning import device_count
from .global_models import global_model, is_cached, load_or_train
from .load import load_split
from .recipes import recipes, weights_sha256
from .units import PersonGroup, PersonUnit, Workbench


@dataclass(frozen=True, kw_only=True)
class _Training:
    """A network to train, as a task for a worker."""

    experiment: Experiment
    kind: str
    seed: int
    folder: Path


@dataclass(frozen=True, kw_only=True)
class _ForAll:
    """What a method makes for everybody at one budget and keeps in the cache, as a task for a worker."""

    experiment: Experiment
    method: str
    budget: float
    seed: int
    folder: Path


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Some persons of one draw, as a task for a worker."""

    experiment: Experiment
    seed: int
    size: int
    seen: bool
    indices: tuple[int, ...]
    folder: Path
    fingerprints: Mapping[str, Stamp]


# Small enough for an even load and a lively progress bar.
_PERSONS_PER_CHUNK = 4
# What tables round away.
_ROUNDED = 1e-6


def compute_missing(missing: Sequence[PersonUnit], *, total: int, journal: Journal, pool: Workers) -> None:
    """Computes the missing units in the pool's processes; each appends its rows to the journal as they are finished.

    Networks come first, then what methods make of them for everybody, then persons.

    **Arguments:**

    - `total`: units of the whole comparison, for the progress bar.
    """
    if not missing:
        return
    experiment, folder = missing[0].among.experiment, journal.path.parent
    trainings = [
        _Training(experiment=experiment, kind=recipe.kind, seed=recipe.seed, folder=folder)
        for seed in dict.fromkeys(unit.among.seed for unit in missing)
        for recipe in recipes(experiment, load_split(experiment, seed), seed)
        if not is_cached(recipe)
    ]
    shared = _for_all(missing, journal)
    chunks, step = [], _PERSONS_PER_CHUNK
    for among, units in groupby(missing, key=lambda unit: unit.among):
        indices = tuple(unit.index for unit in units)
        task = partial(
            _Chunk,
            experiment=experiment,
            seed=among.seed,
            size=among.size,
            seen=among.seen,
            folder=folder,
            fingerprints=journal.fingerprints,
        )
        chunks += [task(indices=indices[at : at + step]) for at in range(0, len(indices), step)]
    start = os.getpid() % len(chunks)  # so that a second process begins elsewhere
    chunks = chunks[start:] + chunks[:start]
    training = experiment.training
    cores = training.threads * (device_count(training.devices) if trainings or shared else 1)
    at_once = max(1, pool.count // cores)
    full = [task for task in trainings if task.kind == "full"]  # others may begin with it
    gated = [task for task in trainings if task.kind != "full"]
    with progress.bar(total=len(trainings) + len(shared), desc="networks") as bar:
        for _ in chain(
            pool.spread(_train, full, at_once=at_once),
            pool.spread(_train, gated, at_once=at_once),
            pool.spread(_make_for_all, shared, at_once=at_once),
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


def _for_all(missing: Sequence[PersonUnit], journal: Journal) -> list[_ForAll]:
    """What persons' rows share and takes long."""
    tasks: dict[tuple[object, ...], _ForAll] = {}
    for unit in missing:
        among = unit.among
        for personalizer, label in unit.labels:
            part = personalizer.for_all
            if part is not None and key_of(label) not in journal.rows:
                names = {"method": personalizer.method, "budget": label["budget"], "seed": among.seed}
                task = _ForAll(experiment=among.experiment, folder=journal.path.parent, **names)
                tasks.setdefault((part.method, repr(part.depends_on()), label["budget"], among.seed), task)
    return list(tasks.values())


def _make_for_all(task: _ForAll) -> None:
    dataset = load_split(task.experiment, task.seed)
    model = global_model(task.experiment, dataset, task.seed, task.folder).to(_device())
    (personalizer,) = (each for each in make_personalizers(task.experiment) if each.method == task.method)
    assert personalizer.for_all is not None
    personalizer.for_all.personalize(model, model.train, task.budget)


def _device() -> torch.device:
    """Where persons are personalized; what is kept for all of them is made there, too, since its bits name it."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _compute_chunk(chunk: _Chunk) -> int:
    """Computes what is missing of a chunk, appends it to the journal person by person, and returns their number."""
    of_seed = _OfSeed.of(chunk)
    _kept.turn_to(of_seed)
    bench, units = _kept.workbench(), _kept.units(chunk.size, chunk.seen)
    journal = Journal(chunk.folder, chunk.fingerprints)
    for index in chunk.indices:
        journal.read()  # another writer may have been here
        if rows := bench.rows(units[index], known=journal.rows.keys()):
            _check_networks(rows, journal, units[index])
            journal.append(rows)
    return len(chunk.indices)


def _check_networks(rows: Sequence[Row], journal: Journal, unit: PersonUnit) -> None:
    """Raises `UserError` where rows that are there already are of other networks, as another machine trains them."""
    for key in unit.keys:
        there = journal.rows.get(key)
        if there is not None and abs(there["score_full"] - rows[0]["score_full"]) > _ROUNDED:
            raise UserError(
                f"{journal.path.parent} has rows of other networks: the full one is right on "
                f"{there['score_full']:.1%} of {unit.person.identity}'s samples there, on "
                f"{rows[0]['score_full']:.1%} here; name another --out"
            )


@dataclass(frozen=True, kw_only=True)
class _OfSeed:
    """What chunks of a seed have in common; `text` tells the experiment, its data and weights apart from others."""

    text: str
    seed: int
    folder: Path
    experiment: Experiment = field(compare=False)

    @staticmethod
    def of(chunk: _Chunk) -> "_OfSeed":
        """That of a chunk's seed."""
        experiment = chunk.experiment
        parts = (experiment, load_split(experiment, chunk.seed).sha256, weights_sha256(experiment))
        return _OfSeed(text=repr(parts), seed=chunk.seed, folder=chunk.folder, experiment=experiment)

    @property
    def dataset(self) -> IdentityDataset:
        """As this seed splits it."""
        return load_split(self.experiment, self.seed)


class _Kept:
    """What this process made for the chunks of a seed, until it turns to another."""

    def __init__(self) -> None:
        self._of: _OfSeed | None = None
        self._bench: Workbench | None = None
        self._units: dict[tuple[int, bool], list[PersonUnit]] = {}

    def turn_to(self, of: _OfSeed) -> None:
        if self._of != of:
            self._of, self._bench, self._units = of, None, {}

    def workbench(self) -> Workbench:
        of = self._of
        assert of is not None
        if self._bench is None:
            model = global_model(of.experiment, of.dataset, of.seed, of.folder)
            self._bench = Workbench(model.to(_device()), _device())
        return self._bench

    def units(self, size: int, seen: bool) -> list[PersonUnit]:
        of = self._of
        assert of is not None
        if (size, seen) not in self._units:
            drawn = PersonGroup.draw(of.experiment, of.dataset, of.seed, size, seen)
            self._units[size, seen] = drawn.units()
        return self._units[size, seen]


_kept = _Kept()

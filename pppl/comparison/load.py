"""Loading of an experiment's data set, its splits and its persons."""

import dataclasses
from collections import OrderedDict

from ..config import DataSettings, Experiment
from ..config import PersonSettings as PersonsConfig
from ..data import (
    SOURCES,
    IdentityDataset,
    TooFewPersons,
    limit,
    load_dataset,
    people_left_out,
    person_groups,
    resolve_protocol,
    split_for,
    standardize_targets,
)
from ..data.shapes import describe_dataset, find_oddities
from ..personalizers import make_personalizers
from ..system.tracking import notice
from ..tasks import Regression, task_of
from .units import PersonGroup


def open_experiment(experiment: Experiment) -> tuple[Experiment, IdentityDataset]:
    """Return the experiment with its protocol resolved, and its data set, read anew.

    With the protocol `auto`, people are the persons if the data set has labels of people and enough samples of them.

    Raise `UserError` if the data set is missing or damaged, its task is unknown, or there are too few persons.
    """
    _cache.forget()
    dataset = _cache.dataset(experiment.data)
    task_of(dataset)  # an unknown task is reported first
    persons = resolve_protocol(experiment.persons, dataset)
    resolved = dataclasses.replace(experiment, persons=persons)
    try:
        draw_groups(resolved, experiment.seeds[0])
    except TooFewPersons as error:
        if experiment.persons.protocol != "auto" or persons.protocol == "classes":
            raise
        notice(f"{error}; persons are subsets of the classes instead")
        resolved = dataclasses.replace(experiment, persons=dataclasses.replace(persons, protocol="classes"))
        draw_groups(resolved, experiment.seeds[0])
    return resolved, dataset


def report_data(experiment: Experiment, dataset: IdentityDataset) -> None:
    """Report the contents of the user's own data, how they were read, and what looks like a mistake in them."""
    if experiment.data.name in SOURCES:
        return
    for line in (describe_dataset(dataset), *dataset.about, *find_oddities(dataset)):
        notice(f"{experiment.data.name}: {line}")


def unmet_needs(experiment: Experiment) -> dict[str, list[str]]:
    """Return the needs of methods that the task of the experiment's data does not meet, by method.

    Raise `UserError` if the data cannot be read.
    """
    task = task_of(_cache.dataset(experiment.data))
    unmet = {each.method: each.unmet_needs(task) for each in make_personalizers(experiment)}
    return {method: unmet[method] for method in experiment.methods if unmet.get(method)}


def load_split(experiment: Experiment, seed: int) -> IdentityDataset:
    """Return the data set as one seed uses it: split and standardized."""
    return _cache.split(experiment.data, experiment.persons, seed)


class _DatasetCache:
    """A cache of the data set that was read last, and of its splits by the latest seeds."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drop the data set and its splits."""
        self._settings: DataSettings | None = None
        self._dataset: IdentityDataset | None = None
        self._splits: OrderedDict[tuple[str, int], IdentityDataset] = OrderedDict()

    def dataset(self, data: DataSettings) -> IdentityDataset:
        """Return the data set, read now if another one was read last."""
        if self._dataset is None or self._settings != data:
            self.forget()
            self._settings, self._dataset = data, limit(load_dataset(data), data)
        return self._dataset

    def split(self, data: DataSettings, persons: PersonsConfig, seed: int) -> IdentityDataset:
        """Return the data set as one seed splits it."""
        dataset, key = self.dataset(data), (repr(persons), seed)
        if key not in self._splits:
            split = split_for(dataset, persons, seed)
            is_regression = isinstance(task_of(dataset), Regression)
            self._splits[key] = standardize_targets(split) if is_regression else split
        self._splits.move_to_end(key)
        if len(self._splits) > _MOST_SPLITS:
            self._splits.popitem(last=False)
        return self._splits[key]


_MOST_SPLITS = 4
_SHOWN = 5  # names in a notice
_cache = _DatasetCache()


def draw_groups(experiment: Experiment, seed: int, *, report: bool = False) -> list[PersonGroup]:
    """Return the groups of persons that an experiment draws with a seed, without groups that lack data.

    **Arguments:**

    - `report`: whether to report the groups and people that are left out, and why.

    Raise `TooFewPersons` if no group is left.
    """
    dataset = load_split(experiment, seed)
    groups: list[PersonGroup] = []
    reasons: list[TooFewPersons] = []
    for name in person_groups(experiment.persons):
        try:
            groups.append(PersonGroup.draw(experiment, dataset, seed, name))
        except TooFewPersons as error:
            reasons.append(error)
    if not groups:
        raise reasons[0]
    for reason in reasons if report else []:
        notice(f"left out with seed {seed}: {reason}")
    for group in groups if report else []:
        _report_people_left_out(experiment, group)
    return groups


def _report_people_left_out(experiment: Experiment, group: PersonGroup) -> None:
    """Report the people who have too few samples."""
    few = people_left_out(group.dataset, experiment.persons, size=group.name.size, seen=group.name.seen)
    if few:
        kind, needed = "seen" if group.name.seen else "unseen", experiment.persons.shots + (not group.name.seen)
        names = ", ".join(few[:_SHOWN]) + ", ..." * (len(few) > _SHOWN)
        notice(
            f"{len(few)} {kind} people are left out with seed {group.seed} ({names}): fewer than {needed} samples of "
            f"{group.name.size or 2} classes; lower persons.shots to have them"
        )


def report_folds(experiment: Experiment) -> None:
    """Report missing seeds if the present ones do not hold out everybody equally often."""
    folds = experiment.persons.folds
    if not folds:
        return
    rounds: dict[int, set[int]] = {}
    for seed in experiment.seeds:
        rounds.setdefault(seed // folds, set()).add(seed % folds)
    missing = [
        round_index * folds + fold
        for round_index, folds_present in rounds.items()
        for fold in range(folds)
        if fold not in folds_present
    ]
    if missing:
        seeds = ", ".join(map(str, sorted(missing)))
        notice(
            f"with {folds} folds not everybody is unseen once: seeds {seeds} are missing, which hold out other people"
        )

"""From an experiment's names to its data and its persons."""

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
)
from ..data.shapes import describe, find_oddities
from ..personalizers import make_personalizers
from ..system.tracking import notice
from ..tasks import task_of
from .units import PersonGroup


def open_experiment(experiment: Experiment) -> tuple[Experiment, IdentityDataset]:
    """The experiment with its protocol decided, and its data set, read anew.

    With the protocol `auto` people are persons where the data set knows them and they have samples enough.

    Raises `UserError` where the data set is missing or damaged, its task is unknown, or there are too few persons.
    """
    _read.forget()
    dataset = _read.dataset(experiment.data)
    task_of(dataset)  # a misspelt one is told first
    persons = resolve_protocol(experiment.persons, dataset)
    decided = dataclasses.replace(experiment, persons=persons)
    try:
        draw_groups(decided, experiment.seeds[0])
    except TooFewPersons as error:
        if experiment.persons.protocol != "auto" or persons.protocol == "classes":
            raise
        notice(f"{error}; persons are subsets of the classes instead")
        decided = dataclasses.replace(experiment, persons=dataclasses.replace(persons, protocol="classes"))
        draw_groups(decided, experiment.seeds[0])
    return decided, dataset


def report_data(experiment: Experiment, dataset: IdentityDataset) -> None:
    """Say what was read of a file of the user's own, and what looks like a slip in it."""
    if experiment.data.name in SOURCES:
        return
    people = 0 if dataset.identity is None else len(set(dataset.identity.tolist()))
    read = describe(dataset.input_shape, len(dataset.y), people=people, classes=len(dataset.classes))
    for line in (read, *find_oddities(dataset)):
        notice(f"{experiment.data.name}: {line}")


def unmet_needs(experiment: Experiment) -> dict[str, list[str]]:
    """Return what methods need and the task of the experiment's data does not offer, by method.

    Raise `UserError` if the data cannot be read.
    """
    task = task_of(_read.dataset(experiment.data))
    lacking = {each.method: each.unmet_needs(task) for each in make_personalizers(experiment)}
    return {method: lacking[method] for method in experiment.methods if lacking.get(method)}


def load_split(experiment: Experiment, seed: int) -> IdentityDataset:
    """The data set as one seed sees it: split and standardized."""
    return _read.split(experiment.data, experiment.persons, seed)


class _Read:
    """The data set that was read last, and what the latest seeds see of it; another one takes the place of both."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._of: DataSettings | None = None
        self._dataset: IdentityDataset | None = None
        self._splits: OrderedDict[tuple[PersonsConfig, int], IdentityDataset] = OrderedDict()

    def dataset(self, data: DataSettings) -> IdentityDataset:
        if self._dataset is None or self._of != data:
            self.forget()
            self._of, self._dataset = data, limit(load_dataset(data.name), data)
        return self._dataset

    def split(self, data: DataSettings, persons: PersonsConfig, seed: int) -> IdentityDataset:
        dataset, key = self.dataset(data), (persons, seed)
        if key not in self._splits:
            self._splits[key] = split_for(dataset, persons, seed)
        self._splits.move_to_end(key)
        if len(self._splits) > _MOST_SPLITS:
            self._splits.popitem(last=False)
        return self._splits[key]


_MOST_SPLITS = 4
_SHOWN = 5  # names in a notice
_read = _Read()


def draw_groups(experiment: Experiment, seed: int, *, report: bool = False) -> list[PersonGroup]:
    """The groups of persons that an experiment draws with a seed; one for which the data do not suffice is left out.

    **Arguments:**

    - `report`: whether to say which are left out, and why.

    Raises `TooFewPersons` where no group is left.
    """
    dataset = load_split(experiment, seed)
    drawn: list[PersonGroup] = []
    reasons: list[TooFewPersons] = []
    for size, seen in person_groups(experiment.persons):
        try:
            drawn.append(PersonGroup.draw(experiment, dataset, seed, size, seen))
        except TooFewPersons as error:
            reasons.append(error)
    if not drawn:
        raise reasons[0]
    for reason in reasons if report else []:
        notice(f"left out with seed {seed}: {reason}")
    for group in drawn if report else []:
        _tell_of_people(experiment, group)
    return drawn


def _tell_of_people(experiment: Experiment, group: PersonGroup) -> None:
    """Says whom the data have too few samples of."""
    few = people_left_out(group.dataset, experiment.persons, size=group.size, seen=group.seen)
    if few:
        kind, needed = "seen" if group.seen else "unseen", experiment.persons.shots + (not group.seen)
        names = ", ".join(few[:_SHOWN]) + ", ..." * (len(few) > _SHOWN)
        notice(
            f"{len(few)} {kind} people are left out with seed {group.seed} ({names}): fewer than {needed} samples of "
            f"{group.size or 2} classes; lower persons.shots to have them"
        )


def report_folds(experiment: Experiment) -> None:
    """Says where the seeds do not have everybody unseen equally often."""
    folds = experiment.persons.folds
    if not folds:
        return
    rounds: dict[int, set[int]] = {}
    for seed in experiment.seeds:
        rounds.setdefault(seed // folds, set()).add(seed % folds)
    lacking = [turn * folds + fold for turn, there in rounds.items() for fold in range(folds) if fold not in there]
    if lacking:
        seeds = ", ".join(map(str, sorted(lacking)))
        notice(
            f"with {folds} folds not everybody is unseen once: seeds {seeds} are lacking, which hold out other people"
        )

"""The unit of a comparison: one person with every method and budget, computed as a whole or not at all."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import nn

from ..backbones import evaluating, whole_outputs
from ..config import Experiment
from ..data import GroupName, IdentityDataset, Person, Support, draw_persons
from ..data.identities import TRAIN
from ..personalizers import GlobalModel, Personalizer, PersonalModel, make_personalizers
from ..tables.journal import KEYS, Row, key_of
from ..tasks import Task
from ..training.modules import channels_last

# Support samples: own samples of the person with this number, a twin's, other words of the same person, or everybody's.
Source = tuple[Literal["own", "population", "twin", "swap"], int]


@dataclass(frozen=True, kw_only=True, eq=False)
class PersonGroup:
    """The persons of one seed and name, and the support samples that each control gives them."""

    experiment: Experiment
    dataset: IdentityDataset
    seed: int
    name: GroupName
    persons: Sequence[Person]

    @staticmethod
    def draw(experiment: Experiment, dataset: IdentityDataset, seed: int, name: GroupName) -> "PersonGroup":
        """Return the persons that an experiment draws with a seed."""
        persons = draw_persons(dataset, experiment.persons, seed=seed, **name._asdict())
        return PersonGroup(experiment=experiment, dataset=dataset, seed=seed, name=name, persons=persons)

    @cached_property
    def personalizers(self) -> Sequence[Personalizer]:
        """The personalizers of the experiment's methods. An unknown method raises `UserError` here, not in `draw`."""
        return make_personalizers(self.experiment)

    def units(self) -> "list[PersonUnit]":
        """Return one unit per person."""
        return [PersonUnit(among=self, index=index) for index in range(len(self.persons))]

    def source(self, personalizer: Personalizer, index: int) -> Source | None:
        """Return the source of samples that `personalizer` uses for person `index`.

        It is None if there are no samples: a person whose classes nobody else has, has no twin.
        """
        match personalizer.support_from:
            case "population":
                return "population", 0
            case "other":
                return "own", self._other(index)
            case "twin" | "swap" as control:
                return (control, index) if len(getattr(self.persons[index], control)) else None
            case _:
                return "own", index

    def samples(self, source: Source) -> Support:
        """Return the support set that a source names."""
        control, index = source
        if control == "population":
            return self._population
        if control == "own":
            return self._own[index]
        person = self.persons[index]
        return person.support_of(self.dataset, getattr(person, control))

    def _other(self, index: int) -> int:
        """Return the index of the next person who is somebody else, not the same speaker with other words."""
        count = len(self.persons)
        following = ((index + step) % count for step in range(1, count))
        return next(i for i in following if self.persons[i].whose != self.persons[index].whose)

    @cached_property
    def _own(self) -> list[Support]:
        return [person.support_of(self.dataset) for person in self.persons]

    @cached_property
    def _population(self) -> Support:
        return Support(
            x=torch.cat([support.x for support in self._own]),
            y=torch.cat([support.y for support in self._own]),
            seed=self._own[0].seed,
        )


@dataclass(frozen=True, kw_only=True)
class PersonUnit:
    """The work on one person of a group."""

    among: PersonGroup
    index: int

    @cached_property
    def person(self) -> Person:
        """The person of this unit."""
        return self.among.persons[self.index]

    @cached_property
    def labels(self) -> list[tuple[Personalizer, Row]]:
        """Every personalizer that has samples, once for each budget, with the columns that name its row."""
        return [
            (personalizer, self._label(personalizer, budget))
            for personalizer in self.among.personalizers
            if self.among.source(personalizer, self.index) is not None
            for budget in personalizer.budgets
        ]

    @property
    def keys(self) -> list[tuple[object, ...]]:
        """The keys of the unit's rows."""
        return self._keys

    @cached_property
    def _keys(self) -> list[tuple[object, ...]]:
        return [key_of(label) for _, label in self.labels]

    def _label(self, personalizer: Personalizer, budget: float) -> Row:
        person, experiment = self.person, self.among.experiment
        values = (
            self.among.dataset.name,
            experiment.backbone.name,
            person.persons,
            person.seen,
            personalizer.method,
            personalizer.control,
            budget,
            self.among.seed,
            person.identity,
            experiment.persons.support_kinds()[self.among.name.support].shots or experiment.persons.shots,
        )
        return dict(zip(KEYS, values, strict=True))


class Workbench:
    """The computation of units of one seed; outputs that persons share are computed once.

    **Arguments:**

    - `model`: the global model, on `device`.
    - `device`: the device of all computations.
    """

    def __init__(self, model: GlobalModel, device: torch.device):
        self.model, self.device = model, device
        self._shared: dict[tuple[object, ...], PersonalModel] = {}
        self._moved: dict[Source, Support] = {}  # support sets of the current unit

    def rows(self, unit: PersonUnit, known: Collection[tuple[object, ...]] = ()) -> list[Row]:
        """Return the unit's rows without those whose keys are `known`."""
        dataset, person = unit.among.dataset, unit.person
        task, x = self.model.task, dataset.inputs(person.query).to(self.device)
        headline = task.metrics[0].name
        full = evaluate(self.model.full, task, dataset, person.query, x)
        rows = []
        for personalizer, label in unit.labels:
            if key_of(label) in known:
                continue
            personal = self._personal(personalizer, unit, label["budget"])
            cost, scores = personal.cost_on(x), evaluate(personal.module, task, dataset, person.query, x)
            rows.append(
                label
                | {"task": dataset.task, "metric": headline}
                | {
                    "score": scores[headline],
                    "score_full": full[headline],
                    "macs": cost.macs,
                    "macs_fraction": cost.macs / self.model.cost.full.macs,
                    "params": cost.params,
                    "params_fraction": cost.params / self.model.cost.full.params,
                    "artifact_bytes": personal.bytes,
                    "retrain_samples": personal.retrain_samples,
                    "train_samples": personalizer.train_samples(len(dataset.rows(TRAIN))),
                    "queries": len(x),
                    "personalize_seconds": round(personal.seconds, 6),
                }
            )
        for support in self._moved.values():
            support.once.clear()  # cached outputs of a person's samples are as large as networks
        self._moved.clear()
        return rows

    def _personal(self, personalizer: Personalizer, unit: PersonUnit, budget: float) -> PersonalModel:
        shared = personalizer.shared
        group = unit.among.name if personalizer.support_from == "population" else ()
        key = (personalizer.method, personalizer.control, budget, *group)
        if shared and key in self._shared:
            return self._shared[key]
        personal = personalizer.personalize(self.model, self._on_device(personalizer, unit), budget)
        if shared:
            self._shared[key] = personal
        return personal

    def _on_device(self, personalizer: Personalizer, unit: PersonUnit) -> Support:
        """Return the support set on the device. It is moved once, so all methods share what is cached with it."""
        source = unit.among.source(personalizer, unit.index)
        assert source is not None
        if source not in self._moved:
            self._moved[source] = unit.among.samples(source).to(self.device)
        own = ("own", unit.index)
        if source == own:
            return self._moved[source]
        if own not in self._moved:
            self._moved[own] = unit.among.samples(own).to(self.device)
        return replace(self._moved[source], own=self._moved[own])


def evaluate(
    network: nn.Module, task: Task, dataset: IdentityDataset, rows: np.ndarray, x: torch.Tensor
) -> dict[str, float]:
    """Return the metrics of a network on some rows of a data set, by name. All classes of the data set compete.

    **Arguments:**

    - `x`: the inputs of these rows, `(N, C, ...)`, on the network's device.
    """
    with evaluating(network), channels_last(network), torch.inference_mode():
        outputs = torch.cat([whole_outputs(network, network(chunk)) for chunk in x.split(256)])
    return task.score(dataset.in_units(outputs.cpu()), dataset.y[rows])

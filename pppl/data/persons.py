"""Who a person is: which samples support the personalization, and which ones query it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import comb

import numpy as np

from ..config import PersonSettings
from .identities import TEST, TRAIN, VALIDATION, IdentityDataset, Support
from .splits import TooFewPersons, identity_of, resolve_protocol

_SPLITS = {"validation": VALIDATION, "test": TEST}


def _nobody() -> np.ndarray:
    return np.empty(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person: rows of the data set for support and for query, which share no sample.

    - `identity`: names the person in the table: a speaker, classes, or a speaker and classes.
    - `whose`: the speaker alone; where persons are classes, the same as `identity`.
    - `persons`: the protocol, as in the table: `2 classes`, `person`, `person+3 classes`.
    - `seen`: whether samples of this person were in training.
    - `seed`: for random choices made for this person.
    - `twin`: rows of somebody else with the same classes, as many of each as in `support`; where persons are classes,
      other samples of these. Empty where there is nobody.
    - `swap`: rows of the same person with as many other classes; empty where there are not so many.
    """

    identity: str
    whose: str
    persons: str
    seen: bool
    support: np.ndarray
    query: np.ndarray
    seed: int
    twin: np.ndarray = field(default_factory=_nobody)
    swap: np.ndarray = field(default_factory=_nobody)

    def support_of(self, dataset: IdentityDataset, rows: np.ndarray | None = None) -> Support:
        """Return the samples of the support set, or of the rows of a control."""
        rows = self.support if rows is None else rows
        return Support(x=dataset.inputs(rows), y=dataset.y[rows], seed=self.seed)


def person_groups(persons: PersonSettings) -> list[tuple[int, bool]]:
    """Size (classes per person, 0 for all) and seen of every group of persons that a protocol asks for."""
    if persons.protocol == "classes":
        return [(size, True) for size in persons.classes]
    sizes = (0,) if persons.protocol == "person" else persons.classes
    return [(size, seen) for seen in (True, False) for size in sizes]


def draw_persons(
    dataset: IdentityDataset, persons: PersonSettings, *, size: int, seed: int, seen: bool = True
) -> list[Person]:
    """Draws persons, at most `persons.count`, all different; they depend on `seed`, `size` and `seen` only.

    - `classes`: a person is a subset of `size` classes. Support comes from the training rows, query is every row of
      these classes in the query split.
    - `person`: one speaker, writer or subject, with all classes that they have enough samples of.
    - `person+classes`: `size` of those classes.

    A seen person's support is drawn from their training rows, which the networks were trained on, their query from
    their rows of the query split. An unseen person has no training rows: both are drawn from the query split, and what
    is no support is query. `persons.queries` bounds the query per class.

    **Arguments:**

    - `dataset`: with its split, see `split_for`.
    - `size`: classes of a person; 0 for `person`.

    Raises `TooFewPersons` where there are not two different people (or subsets) among them.
    """
    persons = resolve_protocol(persons, dataset)
    pool = _Pool(dataset, persons, seen)
    drawn = [pool.person(who, subset, size, seed) for who, subset in pool.draw(size, seed)]
    if (found := len({person.whose for person in drawn})) < 2:
        raise TooFewPersons(pool.too_few(size, found))
    return drawn


def people_left_out(dataset: IdentityDataset, persons: PersonSettings, *, size: int, seen: bool) -> list[str]:
    """Return the names of people who are drawn for nothing, since they have too few samples of `size` classes; of two
    where `size` is 0. None where persons are classes.
    """
    persons = resolve_protocol(persons, dataset)
    if persons.protocol == "classes":
        return []
    pool = _Pool(dataset, persons, seen)
    there = np.unique(pool.who[pool.query])
    few = there[pool.usable[there].sum(1) < (size or 2)]
    return [dataset.identities[who] for who in few.tolist()]


class _Pool:
    """The rows that persons of one kind are made of. Where persons are classes, all rows are one person's."""

    def __init__(self, dataset: IdentityDataset, persons: PersonSettings, seen: bool):
        self.dataset, self.persons, self.seen = dataset, persons, seen
        self.labels = dataset.y.numpy()
        self.by_people = persons.protocol != "classes"
        self.who = identity_of(dataset) if self.by_people else np.zeros(len(self.labels), np.int64)
        training, held_out = dataset.rows(TRAIN), dataset.rows(_SPLITS[persons.query])
        in_training = np.isin(self.who[held_out], np.unique(self.who[training]))
        self.query = held_out[in_training == seen]
        self.support = training if seen else self.query
        self.recording = np.arange(len(self.labels)) if dataset.recording is None else dataset.recording
        self.supports, queries = self._counts(self.support), self._counts(self.query)  # (people, classes)
        # Where query is what remains, a recording at least must remain.
        spare = 0 if seen else self._largest_recordings(self.support)
        self.usable = (self.supports - spare >= persons.shots) & (queries > 0)

    def _counts(self, rows: np.ndarray) -> np.ndarray:
        """Samples of each of the people and classes, `(people, classes)`."""
        counts = np.zeros((max(len(self.dataset.identities), 1), len(self.dataset.classes)), np.int64)
        np.add.at(counts, (self.who[rows], self.labels[rows]), 1)
        return counts

    def _largest_recordings(self, rows: np.ndarray) -> np.ndarray:
        """Samples in the largest recording of each of the people and classes; 1 where nothing is cut."""
        cells = np.stack([self.who[rows], self.labels[rows], self.recording[rows]])
        (who, labels, _), counts = np.unique(cells, axis=1, return_counts=True)
        largest = np.zeros_like(self.supports)
        np.maximum.at(largest, (who, labels), counts)
        return largest

    def draw(self, size: int, seed: int) -> list[tuple[int, tuple[int, ...]]]:
        """Who, and which of their classes."""
        classes = [np.flatnonzero(row) for row in self.usable]
        rng = np.random.default_rng([seed, size] if not self.by_people else [seed, size, int(self.seen)])
        if size == 0:
            people = [who for who, own in enumerate(classes) if len(own) >= 2]
            chosen = sorted(rng.permutation(people)[: self.persons.count].tolist())
            return [(who, tuple(classes[who].tolist())) for who in chosen]
        people = [who for who, own in enumerate(classes) if len(own) >= size]
        count = min(self.persons.count, sum(comb(len(classes[who]), size) for who in people))
        drawn: dict[tuple[int, tuple[int, ...]], None] = {}
        for who in self._turns(people, rng):
            if len(drawn) == count:
                break
            if sum(other == who for other, _ in drawn) == comb(len(classes[who]), size):
                continue
            while (key := (who, self._subset(classes[who], size, rng))) in drawn:
                pass
            drawn[key] = None
        return list(drawn)

    @staticmethod
    def _subset(classes: np.ndarray, size: int, rng: np.random.Generator) -> tuple[int, ...]:
        return tuple(sorted(rng.choice(classes, size, replace=False).tolist()))

    @staticmethod
    def _turns(people: list[int], rng: np.random.Generator) -> Iterator[int]:
        """Everybody once, in random order, then everybody again."""
        while people:
            yield from (people if len(people) == 1 else rng.permutation(people).tolist())

    def person(self, who: int, subset: tuple[int, ...], size: int, seed: int) -> Person:
        """The person, with rows drawn independently of how many others are drawn."""
        entropy = [seed, size, *([who, int(self.seen)] if self.by_people else []), *subset]
        person_seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        rng = np.random.default_rng(person_seed)
        support = self._some(who, subset, rng)
        query = self.query[(self.who[self.query] == who) & np.isin(self.labels[self.query], subset)]
        query = query[~np.isin(self.recording[query], self.recording[support])]
        if self.persons.queries:
            of_class = [rng.permutation(query[self.labels[query] == c])[: self.persons.queries] for c in subset]
            query = np.sort(np.concatenate(of_class))
        names = "+".join(self.dataset.classes[c] for c in subset)
        name = self.dataset.identities[who] if self.by_people else names
        labels = {"classes": f"{size} classes", "person": "person", "person+classes": f"person+{size} classes"}
        return Person(
            identity=f"{name}:{names}" if self.persons.protocol == "person+classes" else name,
            whose=name,
            persons=labels[self.persons.protocol],
            seen=self.seen,
            support=support,
            query=query,
            seed=person_seed,
            **self._controls(who, subset, size, support, np.random.default_rng([person_seed, 1])),
        )

    def _some(
        self, who: int, subset: Sequence[int], rng: np.random.Generator, without: np.ndarray | None = None
    ) -> np.ndarray:
        """Rows of a person to support by, `persons.shots` of each class, of as few recordings as that takes.

        **Arguments:**

        - `without`: rows that are not to be drawn.
        """
        own = self.support[self.who[self.support] == who]
        own = own if without is None else own[~np.isin(own, without)]
        drawn = []
        for c in subset:
            rows = own[self.labels[own] == c]
            if self.dataset.recording is not None:
                order = {each: at for at, each in enumerate(rng.permutation(np.unique(self.recording[rows])).tolist())}
                rows = rng.permutation(rows)
                places = np.array([order[each] for each in self.recording[rows].tolist()])
                drawn.append(rows[np.argsort(places, kind="stable")[: self.persons.shots]])
            else:
                drawn.append(rng.choice(rows, self.persons.shots, replace=False))
        return np.concatenate(drawn)

    def _controls(
        self, who: int, subset: tuple[int, ...], size: int, support: np.ndarray, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Rows of a twin and of a swap, as far as there are any."""
        shots, controls = self.persons.shots, {}
        needed = shots if self.by_people else 2 * shots  # where nobody else is there, of the same rows
        others = [each for each in range(len(self.supports)) if each != who or not self.by_people]
        twins = [each for each in others if (self.supports[each, list(subset)] >= needed).all()]
        if twins:
            without = None if self.by_people else support
            controls["twin"] = self._some(int(rng.choice(twins)), subset, rng, without)
        spare = np.setdiff1d(np.flatnonzero(self.supports[who] >= shots), subset)
        if 0 < size <= len(spare):
            controls["swap"] = self._some(who, sorted(rng.choice(spare, size, replace=False).tolist()), rng)
        return controls

    def too_few(self, size: int, found: int) -> str:
        """Why there are fewer than two persons, and what to do."""
        kind = f"{'seen' if self.seen else 'unseen'} people" if self.by_people else "persons"
        wanted = f"{kind} {'with' if self.by_people else 'of'} {size} classes" if size else kind
        dataset, query = self.dataset, self.persons.query
        if len(self.query) == 0:
            return f"{dataset.name} has no {wanted}: no rows of its {query} split are theirs"
        best = int(self.usable.sum(1).argmax())
        most = f"{dataset.identities[best]!r} has the most, {self.usable[best].sum()}" if self.by_people else "too few"
        needed = f"{self.persons.shots} training and 1" if self.seen else f"{self.persons.shots + 1}"
        return (
            f"{dataset.name} has {found} {wanted}, and `other` needs 2: classes with {needed} {query} samples are "
            f"wanted, {most}; lower persons.shots (now {self.persons.shots}) or change persons.classes"
        )

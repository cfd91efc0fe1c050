"""Who a person is: which samples support the personalization, and which ones query it."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

import numpy as np

from ..config import Persons
from .identities import TEST, TRAIN, VALIDATION, IdentityDataset, Support
from .splits import TooFewPersons, identity_of, resolved

_SPLITS = {"validation": VALIDATION, "test": TEST}


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person: rows of the data set for support and for query, which share no sample.

    - `identity`: names the person in the table: a speaker, classes, or a speaker and classes.
    - `whose`: the speaker alone; where persons are classes, the same as `identity`.
    - `persons`: the protocol, as in the table: `2 classes`, `person`, `person+3 classes`.
    - `seen`: whether samples of this person were in training.
    - `seed`: for random choices made for this person.
    """

    identity: str
    whose: str
    persons: str
    seen: bool
    support: np.ndarray
    query: np.ndarray
    seed: int

    def support_of(self, dataset: IdentityDataset) -> Support:
        """The support set's samples."""
        return Support(x=dataset.inputs(self.support), y=dataset.y[self.support], seed=self.seed)


def groups(persons: Persons) -> list[tuple[int, bool]]:
    """Size (classes per person, 0 for all) and seen of every group of persons that a protocol asks for."""
    if persons.protocol == "classes":
        return [(size, True) for size in persons.classes]
    sizes = (0,) if persons.protocol == "person" else persons.classes
    return [(size, seen) for seen in (True, False) for size in sizes]


def draw_persons(
    dataset: IdentityDataset, persons: Persons, *, size: int, seed: int, seen: bool = True
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
    persons = resolved(persons, dataset)
    pool = _Pool(dataset, persons, seen)
    drawn = [pool.person(who, subset, size, seed) for who, subset in pool.draw(size, seed)]
    if (found := len({person.whose for person in drawn})) < 2:
        raise TooFewPersons(pool.too_few(size, found))
    return drawn


class _Pool:
    """The rows that persons of one kind are made of. Where persons are classes, all rows are one person's."""

    def __init__(self, dataset: IdentityDataset, persons: Persons, seen: bool):
        self.dataset, self.persons, self.seen = dataset, persons, seen
        self.labels = dataset.y.numpy()
        self.by_people = persons.protocol != "classes"
        self.who = identity_of(dataset) if self.by_people else np.zeros(len(self.labels), np.int64)
        training, held_out = dataset.rows(TRAIN), dataset.rows(_SPLITS[persons.query])
        in_training = np.isin(self.who[held_out], np.unique(self.who[training]))
        self.query = held_out[in_training == seen]
        self.support = training if seen else self.query
        shape = (max(len(dataset.identities), 1), len(dataset.classes))
        supports, queries = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        np.add.at(supports, (self.who[self.support], self.labels[self.support]), 1)
        np.add.at(queries, (self.who[self.query], self.labels[self.query]), 1)
        # One more than the support set takes, where query is what remains.
        needed = persons.shots if seen else persons.shots + 1
        self.usable = (supports >= needed) & (queries > 0)  # (people, classes)

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
        own = self.support[self.who[self.support] == who]
        support = np.concatenate(
            [rng.choice(own[self.labels[own] == c], self.persons.shots, replace=False) for c in subset]
        )
        query = self.query[(self.who[self.query] == who) & np.isin(self.labels[self.query], subset)]
        query = np.setdiff1d(query, support)
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
        )

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

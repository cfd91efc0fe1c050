"""The rows of a data set from which persons are drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import comb

import numpy as np

from ..config import PersonSettings, SupportKind
from ..system.errors import UserError
from .identities import TEST, TRAIN, VALIDATION, IdentityDataset, Support
from .splits import identity_of

_SPLITS = {"validation": VALIDATION, "test": TEST}


def _nobody() -> np.ndarray:
    return np.empty(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person: rows of the data set for support and for query. No row is in both.

    - `identity`: the person's name in tables: a speaker, a class subset, or a speaker with a class subset.
    - `whose`: the speaker alone; the same as `identity` if persons are class subsets.
    - `persons`: the protocol as in tables: `2 classes`, `person`, `person+3 classes`.
    - `seen`: whether samples of this person were in training.
    - `support`, `query`: row indices, int64.
    - `seed`: seed of all random choices made for this person.
    - `twin`: rows of somebody else with the same classes and as many samples of each as in `support`. If persons are
      class subsets: other samples of the same classes. Empty if nobody has enough samples.
    - `swap`: rows of the same person with as many other classes; empty if the person has too few other classes.
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
        """Return the samples of the support set. A control passes its own `rows` instead."""
        rows = self.support if rows is None else rows
        return Support(x=dataset.inputs(rows), y=dataset.targets(rows), seed=self.seed)


class PersonPool:
    """The rows from which persons of one kind (seen or unseen) are drawn.

    If persons are class subsets, all rows count as one person's.

    - `who`, `recording`: `(N,)`, the person and the recording of each sample.
    - `support`, `query`: rows from which support and query are drawn.
    - `supports`: `(people, classes)`, number of support rows.
    - `usable`: `(people, classes)`, whether there are enough samples for support and query.
    """

    def __init__(self, dataset: IdentityDataset, persons: PersonSettings, seen: bool):
        self.dataset, self.persons, self.seen = dataset, persons, seen
        self.labels = dataset.strata
        self.by_people = persons.protocol != "classes"
        self.who = identity_of(dataset) if self.by_people else np.zeros(len(self.labels), np.int64)
        training, held_out = dataset.rows(TRAIN), dataset.rows(_SPLITS[persons.query])
        in_training = np.isin(self.who[held_out], np.unique(self.who[training]))
        self.query = held_out[in_training == seen]
        self.support = training if seen else self.query
        self.recording = np.arange(len(self.labels)) if dataset.recording is None else dataset.recording
        self.supports, queries = self._counts(self.support), self._counts(self.query)  # (people, classes)
        # An unseen person's query is what the support leaves over, so at least one recording must be left.
        spare = 0 if seen else self._largest_recordings(self.support)
        self.usable = (self.supports - spare >= persons.shots) & (queries > 0)

    def _counts(self, rows: np.ndarray) -> np.ndarray:
        """Count the samples of each person and class, `(people, classes)`."""
        counts = np.zeros((max(len(self.dataset.identities), 1), self.dataset.strata_count), np.int64)
        np.add.at(counts, (self.who[rows], self.labels[rows]), 1)
        return counts

    def _largest_recordings(self, rows: np.ndarray) -> np.ndarray:
        """Count the samples in the largest recording of each person and class, `(people, classes)`.

        The count is 1 if every sample is its own recording.
        """
        cells = np.stack([self.who[rows], self.labels[rows], self.recording[rows]])
        (who, labels, _), counts = np.unique(cells, axis=1, return_counts=True)
        largest = np.zeros_like(self.supports)
        np.maximum.at(largest, (who, labels), counts)
        return largest

    def draw(self, size: int, seed: int) -> list[tuple[int, tuple[int, ...]]]:
        """Draw persons, each as the index of one of the people and some of their classes."""
        classes = [np.flatnonzero(row) for row in self.usable]
        rng = np.random.default_rng([seed, size] if not self.by_people else [seed, size, int(self.seen)])
        if size == 0:
            people = [who for who, own in enumerate(classes) if len(own) >= min(2, self.dataset.strata_count)]
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
        """Yield all people in random order, then all again in a new order, without end."""
        while people:
            yield from (people if len(people) == 1 else rng.permutation(people).tolist())

    def person(self, who: int, subset: tuple[int, ...], size: int, seed: int) -> Person:
        """Return the person. Their rows do not depend on which other persons are drawn."""
        entropy = [seed, size, *([who, int(self.seen)] if self.by_people else []), *subset]
        person_seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        rng = np.random.default_rng(person_seed)
        support = self._some(who, subset, rng)
        query = self.query[(self.who[self.query] == who) & np.isin(self.labels[self.query], subset)]
        query = query[~np.isin(self.recording[query], self.recording[support])]
        if self.persons.queries:
            of_class = [rng.permutation(query[self.labels[query] == c])[: self.persons.queries] for c in subset]
            query = np.sort(np.concatenate(of_class))
        names = "+".join(self.dataset.classes[c] for c in subset) if size else ""
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

    def varied(self, person: Person, name: str, kind: SupportKind) -> Person:
        """Return a person with another kind of support set.

        Raise `UserError` if the person has too few other classes, or if there is nobody else.
        """
        rng = np.random.default_rng([person.seed, 2])
        own, classes = self.who == self.who[person.support[0]], np.unique(self.labels[person.support])
        few = {rows: self._fewer(getattr(person, rows), kind) for rows in ("support", "twin", "swap")}
        support, query = few["support"], person.query
        if kind.strangers:
            replaced = rng.permutation(len(support))[: round(kind.strangers * len(support))]
            for at in replaced.tolist():
                same = np.isin(self.labels[self.support], classes)
                others = self.support[~own[self.support] & same] if self.by_people else self.support[~same]
                if not len(others):
                    raise UserError(f"persons.supports.{name}: {person.identity} has nobody else beside: leave it out")
                support[at] = rng.choice(others)
        if kind.outside:
            there = self.query[own[self.query] & ~np.isin(self.labels[self.query], classes)]
            more = np.unique(self.labels[there])
            if len(more) < kind.outside:
                raise UserError(
                    f"persons.supports.{name}: {person.identity} has {len(more)} other classes, not {kind.outside}"
                )
            rows = there[np.isin(self.labels[there], rng.choice(more, kind.outside, replace=False))]
            query = np.sort(np.concatenate([query, rng.permutation(rows)[: len(query) // len(classes) * kind.outside]]))
        return replace(person, **(few | {"support": support}), query=query, persons=f"{person.persons}, {name}")

    def _fewer(self, rows: np.ndarray, kind: SupportKind) -> np.ndarray:
        """Return those of a support set's rows, class by class, that a kind keeps."""
        by_class = rows.reshape(-1, self.persons.shots)
        counts = kind.counts(len(by_class), most=self.persons.shots)
        return np.concatenate([own[:count] for own, count in zip(by_class, counts, strict=True)] or [rows[:0]])

    def _some(
        self, who: int, subset: Sequence[int], rng: np.random.Generator, without: np.ndarray | None = None
    ) -> np.ndarray:
        """Draw support rows of a person: `persons.shots` of each class, from as few recordings as possible.

        **Arguments:**

        - `without`: rows to leave out.
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
        """Draw the rows of `twin` and `swap` (see `Person`); a control without enough rows is left out."""
        shots, controls = self.persons.shots, {}
        needed = shots if self.by_people else 2 * shots  # class subsets: support and twin come from the same rows
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
        """Explain why there are fewer than two persons, and what to change."""
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

"""Persons: which samples personalize the network (support) and which ones test it (query)."""

from typing import NamedTuple

import numpy as np

from ..config import PersonSettings, SupportKind
from .identities import IdentityDataset
from .person_pool import Person, PersonPool
from .splits import TooFewPersons, resolve_protocol


class GroupName(NamedTuple):
    """What the persons of a group have in common.

    - `size`: the number of classes per person; 0 means all classes.
    - `seen`: whether training has seen them.
    - `support`: the name of their kind of support sets.
    """

    size: int
    seen: bool
    support: str = ""


def person_groups(persons: PersonSettings) -> list[GroupName]:
    """List the groups of persons that a protocol requests.

    >>> from pppl.config import PersonSettings
    >>> [(group.size, group.seen) for group in person_groups(PersonSettings(protocol="person+classes", classes=(2, 3)))]
    [(2, True), (3, True), (2, False), (3, False)]
    """
    by_people = persons.protocol != "classes"
    sizes = (0,) if persons.protocol == "person" else persons.classes
    whom = (True, False) if by_people else (True,)
    return [GroupName(size, seen, kind) for seen in whom for size in sizes for kind in persons.support_kinds()]


def draw_persons(
    dataset: IdentityDataset, persons: PersonSettings, *, size: int, seed: int, seen: bool = True, support: str = ""
) -> list[Person]:
    """Draw at most `persons.count` different persons. For given data they depend on `seed`, `size` and `seen` only.

    All kinds of support sets are of the same persons.

    The protocol (`persons.protocol`) defines a person:

    - `classes`: a subset of `size` classes. Support comes from the training rows. Query is every row of these classes
      in the query split.
    - `person`: one speaker, writer or subject, with all classes of which they have enough samples.
    - `person+classes`: one speaker, writer or subject, with `size` of these classes.

    The support of a seen person is drawn from their training rows, on which the networks were trained. The query is
    drawn from their rows of the query split. An unseen person has no training rows: the support is drawn from the query
    split, and the rest is the query. No recording is in both. `persons.queries` limits the query rows per class.

    **Arguments:**

    - `dataset`: a data set with a split, see `split_for`.
    - `size`: classes per person; 0 for the protocol `person`.
    - `support`: name of the kind of their support sets.

    Raise `TooFewPersons` if fewer than two different people (or subsets) can be drawn.

    >>> from pppl.config import PersonSettings
    >>> from pppl.data import draw_persons, load_dataset, split_for
    >>> settings = PersonSettings(protocol="classes", count=3, shots=5)
    >>> dataset = split_for(load_dataset("digits"), settings, seed=0)
    >>> [(person.persons, len(person.support)) for person in draw_persons(dataset, settings, size=2, seed=0)]
    [('2 classes', 10), ('2 classes', 10), ('2 classes', 10)]
    """
    persons = resolve_protocol(persons, dataset)
    pool = PersonPool(dataset, persons, seen)
    drawn = [pool.person(who, subset, size, seed) for who, subset in pool.draw(size, seed)]
    if (found := len({person.whose for person in drawn})) < 2:
        raise TooFewPersons(pool.too_few(size, found))
    kind = persons.support_kinds()[support]
    return drawn if kind == SupportKind() else [pool.varied(person, support, kind) for person in drawn]


def people_left_out(dataset: IdentityDataset, persons: PersonSettings, *, size: int, seen: bool) -> list[str]:
    """Return the names of people who cannot be drawn, because they have enough samples of too few classes.

    A person needs `size` classes, or two if `size` is 0. The list is empty if persons are class subsets.
    """
    persons = resolve_protocol(persons, dataset)
    if persons.protocol == "classes":
        return []
    pool = PersonPool(dataset, persons, seen)
    there = np.unique(pool.who[pool.query])
    few = there[pool.usable[there].sum(1) < (size or min(2, dataset.strata_count))]
    return [dataset.identities[who] for who in few.tolist()]

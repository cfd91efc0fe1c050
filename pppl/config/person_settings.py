"""The persons that networks are personalized for, and kinds of support sets, which show how robust methods are."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..system.errors import UserError, unknown
from .tree import require


@dataclass(frozen=True, kw_only=True)
class SupportKind:
    """A kind of support sets.

    - `shots`: samples of each class, the first of those of the usual support set; 0: all of them.
    - `outside`: number of the person's other classes that are among the queries, but not in the support set.
    - `strangers`: fraction of the samples that are somebody else's.
    - `uneven`: whether each class has half as many samples as the one before, and at least one.

    >>> SupportKind(shots=2).counts(3, most=5), SupportKind(uneven=True).counts(3, most=5)
    ([2, 2, 2], [5, 2, 1])
    """

    shots: int = 0
    outside: int = 0
    strangers: float = 0.0
    uneven: bool = False

    def counts(self, classes: int, *, most: int) -> list[int]:
        """Return the number of samples of each class; `most` is that of the usual support set."""
        shots = self.shots or most
        return [max(1, shots >> index) if self.uneven else shots for index in range(classes)]

    @staticmethod
    def of(given: Any, name: str, shots: int) -> "SupportKind":
        """Return the kind that an entry of `persons.supports` describes. Raise `UserError`, naming the entry."""
        if not isinstance(given, Mapping):
            raise UserError(f"persons.supports.{name} is {given!r}: give a section such as {{shots: 1}}")
        fields = {field.name: type(field.default) for field in dataclasses.fields(SupportKind)}
        for key, value in given.items():
            if key not in fields:
                raise unknown(f"key of persons.supports.{name}", str(key), fields)
            kinds = (int, float) if fields[key] is float else fields[key]
            if not isinstance(value, kinds) or (isinstance(value, bool) and fields[key] is not bool):
                raise UserError(f"persons.supports.{name}.{key} is {value!r}: give a {fields[key].__name__}")
        kind = SupportKind(**given)
        require(0 <= kind.shots <= shots, f"persons.supports.{name}.shots is {kind.shots}: 1 to persons.shots, {shots}")
        require(kind.outside >= 0, f"persons.supports.{name}.outside is {kind.outside}: 0 or more")
        require(0 <= kind.strangers < 1, f"persons.supports.{name}.strangers is {kind.strangers}: in [0, 1)")
        return kind


@dataclass(frozen=True, kw_only=True)
class PersonSettings:
    """The persons that networks are personalized for.

    - `protocol`: `classes`, a person is a subset of the classes; `person`, a speaker or writer with all classes;
      `person+classes`, a speaker or writer with some classes; `auto`, `person+classes` if the data set names the person
      of each sample, else `classes`.
    - `split`: `official`, the data set's own; `random`, people (or samples) are held out by seed.
    - `folds`: people are held out in turn, and `split` is ignored. Over the seeds 0 to `folds - 1` everybody is unseen
      once, and over the next `folds` seeds once again, in other folds. 0: no folds.
    - `classes`: how many classes a person has, one kind of persons for each number of the list.
    - `count`: the largest number of persons of each kind, `count` whom training saw and `count` whom it did not.
    - `shots`: support samples per class.
    - `queries`: the largest number of query samples per class. 0: all.
    - `query`: the split that the query samples come from. All tuning uses `validation`.
    - `supports`: kinds of support sets, a `SupportKind` by the name that rows have; the same persons get each of them.
      Empty: the usual one alone, `shots` samples of each class.
    """

    protocol: Literal["auto", "classes", "person", "person+classes"] = "auto"
    split: Literal["official", "random"] = "official"
    folds: int = 0
    classes: tuple[int, ...] = (2, 3, 5)
    count: int = 20
    shots: int = 5
    queries: int = 0
    query: Literal["test", "validation"] = "test"
    supports: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self.count >= 2, f"persons.count is {self.count}: the control `other` needs at least 2 persons")
        require(self.folds == 0 or self.folds >= 2, f"persons.folds is {self.folds}: 0 (none) or at least 2")
        require(
            self.folds == 0 or self.protocol != "classes",
            "persons.folds holds people out, but persons.protocol is classes: set it to person, or folds to 0",
        )
        require(self.shots >= 1, f"persons.shots is {self.shots}: a support set needs at least 1 sample per class")
        require(self.queries >= 0, f"persons.queries is {self.queries}: 0 (all) or more")
        require(min(self.classes, default=0) >= 1, f"persons.classes is {list(self.classes)}: give sizes of 1 or more")
        require(
            len(set(self.classes)) == len(self.classes),
            f"persons.classes is {list(self.classes)}: name each size once",
        )
        self.support_kinds()

    def support_kinds(self) -> dict[str, SupportKind]:
        """Return the kinds of support sets by name; the usual one has none."""
        if not self.supports:
            return {"": SupportKind()}
        return {name: SupportKind.of(given, name, self.shots) for name, given in self.supports.items()}

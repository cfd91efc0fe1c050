"""Each person's scores under one method and the one that it is held against."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ..figures.accuracy_vs_macs import shown_budgets
from ..system.errors import unknown
from ..tables.metric import metric_of
from .folder import FolderTables
from .table import TableRow

_PROTOCOL = ("dataset", "backbone", "persons", "seen")
# Free baselines to hold a method against, the first that was measured.
_AGAINST = ("full+classes", "full")


@dataclass(frozen=True, kw_only=True)
class PersonScores:
    """The scores of one person, means over the seeds under which the person was drawn.

    - `who`, `classes`: the names of the person and of their classes; `classes` is empty for all classes.
    - `kind`: the row's protocol, such as `person+3 classes`; `seen`: `True` or `False`, as in tables.
    - `seeds`: the number of seeds.
    - `full`, `against`, `score`: the scores of the full network, of the method held against, and of the method.
    """

    who: str
    classes: str
    dataset: str
    kind: str
    seen: str
    seeds: int
    full: float
    against: float
    score: float

    @property
    def difference(self) -> float:
        """The method's score less that of the one held against."""
        return self.score - self.against


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Which two methods are held against each other.

    - `method`, `against`: rows of `summary.csv`.
    """

    method: TableRow
    against: TableRow


def choose_pair(results: FolderTables, against: str = "") -> Pairing | None:
    """Return the reference, or else the best method, and what it is held against; None if there is nothing to compare.

    By default that is the full network with the person's classes, or without them. The best is that of the first kind
    of persons.

    Raise `UserError` if the method `against` was not measured.
    """
    budget = shown_budgets(pd.DataFrame(results.main.rows))[0]
    first = {name: results.main.rows[0][name] for name in _PROTOCOL}
    rows = [row for row in results.main.alike(first, _PROTOCOL).rows if row["control"] in ("", "own")]
    by_method = {str(row["method"]): row for row in rows if row["budget"] in (budget, 1.0)}
    if against and against not in by_method:
        raise unknown(f"method in {results.folder} to hold persons against", against, by_method)
    other = by_method.get(against or next((name for name in _AGAINST if name in by_method), ""))
    if other is None:
        return None
    wanted = results.reference or str(results.config.get("reference", ""))
    ranked = sorted(by_method.values(), key=lambda row: -metric_of(row).sign * row["score"])
    ranked = [row for row in ranked if row["method"] not in (other["method"], "full")]
    pruned = [row for row in ranked if row["budget"] < 1]
    own = by_method.get(wanted) if wanted != other["method"] else None
    method = own or next(iter(pruned or ranked), None)
    return None if method is None else Pairing(method=method, against=other)


def person_scores(results: FolderTables, pair: Pairing) -> list[PersonScores]:
    """Return the scores of all persons that both methods were measured on."""
    ours, others = (_by_person(results.rows.rows, row) for row in (pair.method, pair.against))
    return [_mean_scores(key, ours[key], others[key]) for key in ours if ours[key].keys() & others.get(key, {}).keys()]


def _by_person(rows: Sequence[TableRow], of: TableRow) -> dict[tuple[str, ...], dict[float, TableRow]]:
    """Return the rows of a method by protocol and person, then by seed."""
    series = [of[name] for name in ("method", "control", "budget")]
    found: dict[tuple[str, ...], dict[float, TableRow]] = {}
    for row in rows:
        if [row[name] for name in ("method", "control", "budget")] == series:
            key = tuple(str(row[name]) for name in (*_PROTOCOL, "identity"))
            found.setdefault(key, {})[row["seed"]] = row
    return found


def _mean_scores(key: tuple[str, ...], ours: dict[float, TableRow], others: dict[float, TableRow]) -> PersonScores:
    dataset, _, kind, seen, identity = key
    seeds = [seed for seed in ours if seed in others]
    who, classes = _names(identity, kind)
    return PersonScores(
        who=who,
        classes=classes,
        dataset=dataset,
        kind=kind,
        seen=seen,
        seeds=len(seeds),
        full=_mean([ours[seed]["score_full"] for seed in seeds]),
        against=_mean([others[seed]["score"] for seed in seeds]),
        score=_mean([ours[seed]["score"] for seed in seeds]),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _names(identity: str, kind: str) -> tuple[str, str]:
    """Return the names of a person and of their classes. A subset of classes has no name of its own.

    >>> _names("jackson:4+5+7", "person+3 classes"), _names("0+3", "2 classes")
    (('jackson', '4, 5, 7'), ('', '0, 3'))
    """
    who, _, classes = identity.partition(":") if kind.startswith("person") else ("", "", identity)
    return who, classes.replace("+", ", ")

"""Two results folders side by side: the same methods on the same kinds of persons or tasks, paired where possible."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..system.errors import UserError
from ..tables.metric import metric_of
from ..tables.paired import paired_interval, scores_by
from .folder import FolderTables
from .table import TableRow

_PERSONS = ("dataset", "backbone", "persons", "seen", "method", "control", "budget")
_TASKS = ("task", "encoder", "method", "rate")
_NETWORKS = ("backbone", "encoder")


@dataclass(frozen=True, kw_only=True)
class SharedRow:
    """A method in both folders.

    - `one`, `two`: its rows of `summary.csv`.
    - `before`, `after`: its mean scores in both folders, on the `common` persons if there are any.
    - `low`, `high`: the 95 % interval of the difference, paired over the `common` persons and seeds; NaN without any.
    """

    one: TableRow
    two: TableRow
    before: float
    after: float
    low: float = math.nan
    high: float = math.nan
    common: int = 0

    @property
    def difference(self) -> float:
        """The score in the second folder less that in the first."""
        return self.after - self.before

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """What two folders have in common.

    - `sides`: methods in both, in the order of the first.
    - `only_one`, `only_two`: methods in one of them only.
    """

    sides: Sequence[SharedRow]
    only_one: Sequence[str]
    only_two: Sequence[str]


def side_by_side(one: FolderTables, two: FolderTables) -> SideBySide:
    """Return the rows that two folders have in common, with their differences.

    Networks are compared, too, if each folder has one and they differ.

    ```python
    side_by_side(read_results(Path("results/leads_fsdd")), read_results(Path("results/plain_fsdd"))).sides[0].difference
    ```

    Raise `UserError` if one of them is a sweep, if they are of different kinds, or if they have no row in common.
    """
    if one.kind != two.kind or "sweep" in (one.kind, two.kind):
        kinds = {"persons": "pppl compare", "tasks": "pppl tasks", "sweep": "pppl sweep"}
        told = " and ".join(f"{each.folder} is of `{kinds[each.kind]}`" for each in (one, two))
        raise UserError(f"{told}: name two folders of `pppl compare`, or two of `pppl tasks`")
    names = [name for name in (_PERSONS if one.kind == "persons" else _TASKS) if _in_both(name, one, two)]
    if all(len(each.main.distinct(name)) == 1 for each in (one, two) for name in _NETWORKS if name in names):
        names = [name for name in names if name not in _NETWORKS]
    first, second = ({_key(row, names): row for row in each.main.rows} for each in (one, two))
    if not first.keys() & second.keys():
        what = "; ".join(f"{each.folder} has {_content(each)}" for each in (one, two))
        raise UserError(f"the folders have no method, persons and budget in common: {what}")
    scores = [scores_by(names, each.rows.rows) for each in (one, two)]  # none for tasks
    sides = [_side(first[key], second[key], *(each.get(key, {}) for each in scores)) for key in first if key in second]
    return SideBySide(sides=sides, only_one=_only(first, second), only_two=_only(second, first))


def _in_both(name: str, *folders: FolderTables) -> bool:
    return all(name in each.main.names for each in folders)


def _key(row: TableRow, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def _content(results: FolderTables) -> str:
    """Return the data or tasks of a folder, with kinds of persons and budgets."""
    names = ("dataset", "persons", "budget") if results.kind == "persons" else ("task", "encoder")
    return ", ".join(" and ".join(f"{value}" for value in results.main.distinct(name)) for name in names)


def _only(rows: Mapping[Any, TableRow], others: Mapping[Any, TableRow]) -> list[str]:
    there = {str(row["method"]) for row in others.values()}
    return [name for name in dict.fromkeys(str(row["method"]) for row in rows.values()) if name not in there]


def _side(one: TableRow, two: TableRow, before: Mapping[Any, float], after: Mapping[Any, float]) -> SharedRow:
    both = {key: after[key] - before[key] for key in before if key in after}
    if not both:
        return SharedRow(one=one, two=two, before=one["score"], after=two["score"])
    low, high = paired_interval(both, metric_of(one))
    means = (math.fsum(scores[key] for key in both) / len(both) for scores in (before, after))
    known = dict(zip(("before", "after"), means, strict=True))
    return SharedRow(one=one, two=two, **known, low=low, high=high, common=len(both))

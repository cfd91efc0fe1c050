"""Practical advice, a line for each question: paired differences, personal masks, budgets and file sizes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from ..figures.protocols import all_of_a_person
from ..figures.significance import LEVEL
from ..tables.metric import metric_of
from .estimate import Estimate
from .folder import FolderTables
from .table import EMPTY, Table, TableRow

BUDGET = 0.1
# A difference counts as equal if its interval lies within this distance of 0.
MARGIN = 0.01
_VERDICTS = ("gains", "loses", "equal within {step}", "not told apart")
_SIZES = ("B", "kB", "MB")


class Line(NamedTuple):
    """A question, and its answer from the tables."""

    question: str
    told: str


def practice(folders: Sequence[FolderTables], budget: float = BUDGET, *, seen: bool = True) -> list[Line]:
    """Return a line for each question of `answers.csv`, and one each on personal masks, budgets and bytes.

    An answer is a mean paired difference in points with its 95 % interval, for each kind of persons. It is "equal
    within a point" if the interval lies within `MARGIN` of 0. Otherwise it "gains" or "loses" if the interval excludes
    0, and is "not told apart" if the interval contains 0. An asterisk marks a paired test that is significant after
    Holm's correction, on the networks of these seeds.

    ```python
    for question, answer in practice([read_results(Path("results/digits"))], 0.1):
        print(f"{question}: {answer}")
    ```

    **Arguments:**

    - `folders`: results of comparisons on persons; a question that several ask is answered for each.
    - `budget`: of all answers; methods that do not prune have none.
    - `seen`: whether people whose samples were in training are included.
    """
    folders = folders if seen else [_of_unseen(each) for each in folders]
    of_folders = [each.tables.get("answers.csv", EMPTY).rows for each in folders]
    answers = [row for rows in of_folders for row in rows]
    questions = _in_order([dict.fromkeys(str(row["question"]) for row in rows) for rows in of_folders])
    at = [row for row in answers if row["budget"] in (budget, 1.0)]
    lines = [Line(name, _grouped([row for row in at if row["question"] == name])) for name in questions]
    lines.append(_whose(folders, budget))
    lines += [_of_methods(folders, title, tell, budget) for title, tell in _TABLES]
    return [line for line in lines if line.told]


def _in_order(lists: Iterable[Iterable[str]]) -> list[str]:
    """Return the names of all lists once, each after the name it follows in the first list that has it."""
    merged: list[str] = []
    for names in lists:
        behind = 0
        for name in names:
            if name not in merged:
                merged.insert(behind, name)
            behind = merged.index(name) + 1
    return merged


def _of_unseen(results: FolderTables) -> FolderTables:
    """Return results without people seen in training; persons who are subsets of classes stay."""

    def without(table: Table) -> Table:
        if not {"persons", "seen"} <= {*table.names}:
            return table
        return Table(table.names, [row for row in table.rows if is_unseen(row)])

    tables = {name: without(table) for name, table in results.tables.items()}
    return replace(results, main=without(results.main), tables=tables)


def is_unseen(row: TableRow) -> bool:
    """Return whether the person of a row was not in training; subsets of classes count as unseen."""
    return row["seen"] == "False" or not _is_somebody(row)


def _is_somebody(row: TableRow) -> bool:
    """Return whether persons are people, not subsets of classes."""
    return str(row["persons"]).startswith("person")


def _grouped(rows: Sequence[TableRow], name: str = "difference") -> str:
    """Return the differences grouped by verdict (`_VERDICTS`), the largest first."""
    verdicts = [
        (verdict(Estimate.of(row, name)), -float(row[name]), f"{whom(row)} {_points(row, name)}") for row in rows
    ]
    step = "a point" if not rows or metric_of(rows[0]).percent else "0.01"
    verdicts.sort(key=lambda each: (_VERDICTS.index(each[0]), each[1]))
    return "; ".join(
        f"{title.format(step=step)}: {', '.join(text for *_, text in each)}"
        for title, each in groupby(verdicts, itemgetter(0))
    )


def verdict(estimate: Estimate) -> str:
    """Return one of `_VERDICTS` for a difference.

    >>> verdict(Estimate(0.02, 0.011, 0.029)), verdict(Estimate(0.0, -0.1, 0.1))
    ('gains', 'not told apart')
    """
    gains, loses, equal, unknown = _VERDICTS
    if not estimate.metric.higher_is_better:
        estimate = estimate.negative()
    if max(-estimate.low, estimate.high) <= MARGIN:
        return equal
    return gains if estimate.low > 0 else loses if estimate.high < 0 else unknown


def _points(row: TableRow, name: str) -> str:
    value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    metric = metric_of(row)
    shown, least, most = map(metric.show, (value, low, high))
    significant = "\\*" * (float(row.get("holm_p") or 1) < LEVEL)
    return f"{'+' * (float(shown) > 0)}{shown}{significant} [{least}, {most}]"


def whom(row: TableRow) -> str:
    """Return a short name of persons: the data, the classes, and whether people were seen in training.

    >>> whom({"dataset": "my_words", "persons": "person+3 classes", "seen": "False"})
    'my words (3 classes, unseen)'
    """
    persons = str(row["persons"])
    classes = all_of_a_person(row) if persons == "person" else persons.removeprefix("person+")
    seen = {"True": ", seen", "False": ", unseen"}[str(row["seen"])] * _is_somebody(row)
    return f"{str(row['dataset']).replace('_', ' ')} ({classes}{seen})"


def _whose(folders: Sequence[FolderTables], budget: float) -> Line:
    """Return the line on own masks less a twin's, of the first method in `answers.csv` that has twins.

    Subsets of classes are left out, since their twin is nobody else.
    """
    rows = []
    for each in folders:
        gains = [
            row for row in each.tables.get("gains.csv", EMPTY).rows if row["against"] == "twin" and _is_somebody(row)
        ]
        asked = [str(row["method"]) for row in each.tables.get("answers.csv", EMPTY).rows]
        method = next((name for name in asked if name in {str(row["method"]) for row in gains}), "")
        rows += [row for row in gains if row["method"] == method and row["budget"] == budget]
    methods = ", ".join(dict.fromkeys(str(row["method"]) for row in rows))
    return Line(
        f"A mask of one's own over that of somebody else with the same classes ({methods})", _grouped(rows, "gain")
    )


def _of_methods(
    folders: Sequence[FolderTables], title: str, tell: Callable[[FolderTables, float], str], budget: float
) -> Line:
    return Line(title.format(budget=f"{100 * budget:g}"), "; ".join(filter(None, (tell(f, budget) for f in folders))))


def _least(results: FolderTables, _: float) -> str:
    """Return the least MACs within a point of the full network, by the upper end of the interval, with the method.

    Methods that know the person's classes are left out, since the full network does not know them.
    """
    parts = []
    rows = [row for row in results.tables.get("curves.csv", EMPTY).rows if row["control"] in ("", "own")]
    rows = [row for row in rows if _without_classes(str(row["method"])) == row["method"]]
    for name, of_persons in groupby(rows, whom):
        best = min(of_persons, key=lambda row: float(row["macs_within_1_high"]))
        fraction, low, high = (100 * float(best[f"macs_within_1{end}"]) for end in ("", "_low", "_high"))
        of_best = f"{fraction:.0f} % [{low:.0f}, {high:.0f}] ({best['method']})"
        parts.append(f"{name} {of_best}" if high < 100 else f"{name} none for sure")
    return ", ".join(parts)


def _bytes(results: FolderTables, budget: float) -> str:
    """Return the file sizes of the networks that are asked about, for the first kind of persons.

    Only one size is named for each pruned network: its further steps add next to no bytes.
    """
    asked = [str(row[name]) for row in results.tables.get("answers.csv", EMPTY).rows for name in ("method", "against")]
    first = results.main.rows[0]
    sizes = {
        str(row["method"]): _size(float(row["artifact_bytes"]))
        for row in results.main.rows
        if whom(row) == whom(first) and row["control"] in ("", "own") and row["budget"] in (budget, 1.0)
    }
    named: dict[str, str] = {}  # by pruning method, each size once
    for name in map(_without_classes, asked):
        if name in sizes and sizes[name] not in named.values():
            named.setdefault(name.split("+")[0], sizes[name])
    sized = ", ".join(f"{name} {size}" for name, size in named.items())
    return f"{str(first['dataset']).replace('_', ' ')}: {sized}" if named else ""


def _without_classes(method: str) -> str:
    return "+".join(part for part in method.split("+") if part.partition("@")[0] != "classes")


def _size(count: float) -> str:
    for unit in _SIZES[:-1]:
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {_SIZES[-1]}"


_TABLES: tuple[tuple[str, Callable[[FolderTables, float], str]], ...] = (
    (
        "The least MACs within a point of the full network, both without the classes, and the method that has them",
        _least,
    ),
    (
        "What a device stores at {budget} % of the MACs (the person's classes add bytes; gates stay where it is cut)",
        _bytes,
    ),
)

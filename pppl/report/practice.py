"""What to do in practice, a line for each question: paired differences, whose mask, which budget, which file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from ..figures.significance import LEVEL
from .estimate import Estimate
from .folder import FolderTables
from .table import EMPTY, Table, TableRow

BUDGET = 0.1
# A difference whose interval lies within so much of 0 is none in practice.
MARGIN = 0.01
_TOLD = ("gains", "loses", "equal within a point", "not told apart")
_SIZES = ("B", "kB", "MB")


class Line(NamedTuple):
    """A question, and what the tables say."""

    question: str
    told: str


def practice(folders: Sequence[FolderTables], budget: float = BUDGET, *, seen: bool = True) -> list[Line]:
    """Return a line for each question of `answers.csv`, one on whose mask it is, one on budgets and one on bytes.

    What is told of each kind of persons is a mean paired difference in points with its 95 % interval. It is equal where
    the interval lies within `MARGIN` of 0; else it gains or loses where the interval does not hold 0, and is not told
    apart where it does. An asterisk stands where the paired test, on the networks of these seeds, is significant
    after Holm's correction.

    **Arguments:**

    - `folders`: results of comparisons on persons; a question of several is told of each.
    - `budget`: at which all is told; what is not pruned has none.
    - `seen`: whether people whose samples were in training are told of, too.
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
    """Return what is in any of the lists, each behind what it follows in the first that has it: "The same"."""
    merged: list[str] = []
    for names in lists:
        behind = 0
        for name in names:
            if name not in merged:
                merged.insert(behind, name)
            behind = merged.index(name) + 1
    return merged


def _of_unseen(results: FolderTables) -> FolderTables:
    """Without rows of people whom training has seen; where persons are classes, whom it always sees, all stay."""

    def without(table: Table) -> Table:
        if not {"persons", "seen"} <= {*table.names}:
            return table
        return Table(table.names, [row for row in table.rows if is_unseen(row)])

    tables = {name: without(table) for name, table in results.tables.items()}
    return replace(results, main=without(results.main), tables=tables)


def is_unseen(row: TableRow) -> bool:
    """Return whether training has not seen the person of a row; persons who are classes count as such."""
    return row["seen"] == "False" or not _is_somebody(row)


def _is_somebody(row: TableRow) -> bool:
    """Return whether persons are people, not just classes."""
    return str(row["persons"]).startswith("person")


def _grouped(rows: Sequence[TableRow], name: str = "difference") -> str:
    """Differences by what they come to, the largest first."""
    told = [(_come_to(Estimate.of(row, name)), -float(row[name]), f"{whom(row)} {_points(row, name)}") for row in rows]
    told.sort(key=lambda each: (_TOLD.index(each[0]), each[1]))
    return "; ".join(
        f"{come_to}: {', '.join(text for *_, text in each)}" for come_to, each in groupby(told, itemgetter(0))
    )


def _come_to(estimate: Estimate) -> str:
    gains, loses, equal, unknown = _TOLD
    if max(-estimate.low, estimate.high) <= MARGIN:
        return equal
    return gains if estimate.low > 0 else loses if estimate.high < 0 else unknown


def _points(row: TableRow, name: str) -> str:
    value, low, high = (round(100 * float(row[f"{name}{end}"]), 1) + 0.0 for end in ("", "_low", "_high"))  # no -0.0
    significant = "\\*" * (float(row.get("holm_p") or 1) < LEVEL)
    return f"{'+' * (value > 0)}{value:.1f}{significant} [{low:.1f}, {high:.1f}]"


def whom(row: TableRow) -> str:
    """Return who persons are, in a few words: the data, how many classes, and whether training has seen them."""
    persons = str(row["persons"])
    classes = "all classes" if persons == "person" else persons.removeprefix("person+")
    seen = {"True": ", seen", "False": ", unseen"}[str(row["seen"])] * _is_somebody(row)
    return f"{str(row['dataset']).replace('_', ' ')} ({classes}{seen})"


def _whose(folders: Sequence[FolderTables], budget: float) -> Line:
    """Own masks less a twin's, of the first method that experiments ask about and that has twins; where persons are
    classes a twin is nobody else.
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
    """The least MACs that are surely, by the end of the interval, within a point of the full network, and whose; of
    methods that do not know the person's classes, since the full network does not.
    """
    told = []
    rows = [row for row in results.tables.get("curves.csv", EMPTY).rows if row["control"] in ("", "own")]
    rows = [row for row in rows if _without_classes(str(row["method"])) == row["method"]]
    for name, of_persons in groupby(rows, whom):
        best = min(of_persons, key=lambda row: float(row["macs_within_1_high"]))
        fraction, low, high = (100 * float(best[f"macs_within_1{end}"]) for end in ("", "_low", "_high"))
        of_best = f"{fraction:.0f} % [{low:.0f}, {high:.0f}] ({best['method']})"
        told.append(f"{name} {of_best}" if high < 100 else f"{name} none for sure")
    return ", ".join(told)


def _bytes(results: FolderTables, budget: float) -> str:
    """Bytes of the networks that are asked about, of the first kind of persons; further steps add next to none."""
    asked = [str(row[name]) for row in results.tables.get("answers.csv", EMPTY).rows for name in ("method", "against")]
    first = results.main.rows[0]
    sizes = {
        str(row["method"]): _size(float(row["artifact_bytes"]))
        for row in results.main.rows
        if whom(row) == whom(first) and row["control"] in ("", "own") and row["budget"] in (budget, 1.0)
    }
    told: dict[str, str] = {}  # by what is pruned, and none of a size that is told
    for name in map(_without_classes, asked):
        if name in sizes and sizes[name] not in told.values():
            told.setdefault(name.split("+")[0], sizes[name])
    sized = ", ".join(f"{name} {size}" for name, size in told.items())
    return f"{str(first['dataset']).replace('_', ' ')}: {sized}" if told else ""


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

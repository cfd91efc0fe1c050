"""What to do in practice, a line for each question: paired differences, whose mask, which budget, which file."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from .estimate import Estimate
from .folder import Results
from .table import EMPTY, Row, Table

BUDGET = 0.1
_TOLD = {1: "gains", -1: "loses", 0: "not told apart"}
_SIZES = ("B", "kB", "MB")


class Line(NamedTuple):
    """A question, and what the tables say."""

    question: str
    told: str


def practice(folders: Sequence[Results], budget: float = BUDGET, *, seen: bool = True) -> list[Line]:
    """Return a line for each question of `answers.csv`, one on whose mask it is, one on budgets and one on bytes.

    What is told of each kind of persons is a mean paired difference in points with its 95 % interval; it gains or
    loses where the interval does not hold 0.

    **Arguments:**

    - `folders`: results of comparisons on persons; a question of several is told of each.
    - `budget`: at which all is told; what is not pruned has none.
    - `seen`: whether people whose samples were in training are told of, too.
    """
    folders = folders if seen else [_of_unseen(each) for each in folders]
    answers = [row for each in folders for row in each.tables.get("answers.csv", EMPTY).rows]
    questions = dict.fromkeys(str(row["question"]) for row in answers)
    at = [row for row in answers if row["budget"] in (budget, 1.0)]
    lines = [Line(name, _grouped([row for row in at if row["question"] == name])) for name in questions]
    lines.append(_whose(folders, budget))
    lines += [_of_methods(folders, title, tell, budget) for title, tell in _TABLES]
    return [line for line in lines if line.told]


def _of_unseen(results: Results) -> Results:
    """Without rows of people whom training has seen; where persons are classes, whom it always sees, all stay."""

    def without(table: Table) -> Table:
        if not {"persons", "seen"} <= {*table.names}:
            return table
        return Table(table.names, [row for row in table.rows if is_unseen(row)])

    tables = {name: without(table) for name, table in results.tables.items()}
    return replace(results, main=without(results.main), tables=tables)


def is_unseen(row: Row) -> bool:
    """Return whether training has not seen the person of a row; persons who are classes count as such."""
    return row["seen"] == "False" or not str(row["persons"]).startswith("person")


def _grouped(rows: Sequence[Row], name: str = "difference") -> str:
    """Differences by whether they are above 0, below it or neither, the largest first."""
    told = [(_side(Estimate.of(row, name)), -float(row[name]), f"{whom(row)} {_points(row, name)}") for row in rows]
    told.sort(key=lambda each: ((1, -1, 0).index(each[0]), each[1]))
    parts = [f"{_TOLD[side]}: {', '.join(text for *_, text in each)}" for side, each in groupby(told, lambda t: t[0])]
    return "; ".join(parts)


def _side(estimate: Estimate) -> int:
    return 1 if estimate.low > 0 else -1 if estimate.high < 0 else 0


def _points(row: Row, name: str) -> str:
    value, low, high = (round(100 * float(row[f"{name}{end}"]), 1) + 0.0 for end in ("", "_low", "_high"))  # no -0.0
    return f"{'+' * (value > 0)}{value:.1f} [{low:.1f}, {high:.1f}]"


def whom(row: Row) -> str:
    """Return who persons are, in a few words: the data, how many classes, and whether training has seen them."""
    persons = str(row["persons"])
    classes = "all classes" if persons == "person" else persons.removeprefix("person+")
    seen = {"True": ", seen", "False": ", unseen"}[str(row["seen"])] * persons.startswith("person")
    return f"{str(row['dataset']).replace('_', ' ')} ({classes}{seen})"


def _whose(folders: Sequence[Results], budget: float) -> Line:
    """Own masks less a twin's, of the first method that experiments ask about and that has twins."""
    rows = []
    for each in folders:
        gains = [row for row in each.tables.get("gains.csv", EMPTY).rows if row["against"] == "twin"]
        asked = [str(row["method"]) for row in each.tables.get("answers.csv", EMPTY).rows]
        method = next((name for name in asked if name in {str(row["method"]) for row in gains}), "")
        rows += [row for row in gains if row["method"] == method and row["budget"] == budget]
    methods = ", ".join(dict.fromkeys(str(row["method"]) for row in rows))
    return Line(
        f"A mask of one's own over that of somebody else with the same classes ({methods})", _grouped(rows, "gain")
    )


def _of_methods(folders: Sequence[Results], title: str, tell: Callable[[Results, float], str], budget: float) -> Line:
    return Line(title.format(budget=f"{100 * budget:g}"), "; ".join(filter(None, (tell(f, budget) for f in folders))))


def _least(results: Results, _: float) -> str:
    """The least MACs within a point of the full network, and whose."""
    told = []
    rows = [row for row in results.tables.get("curves.csv", EMPTY).rows if row["control"] in ("", "own")]
    for name, of_persons in groupby(rows, whom):
        best = min(of_persons, key=lambda row: float(row["macs_within_1"]))
        fraction = float(best["macs_within_1"])
        told.append(f"{name} {100 * fraction:.0f} % ({best['method']})" if fraction < 1 else f"{name} none")
    return ", ".join(told)


def _bytes(results: Results, budget: float) -> str:
    """Bytes of the networks of the methods that are asked about, of the first kind of persons."""
    asked = [str(row[name]) for row in results.tables.get("answers.csv", EMPTY).rows for name in ("method", "against")]
    first = results.main.rows[0]
    sizes = {
        str(row["method"]): float(row["artifact_bytes"])
        for row in results.main.rows
        if whom(row) == whom(first) and row["control"] in ("", "own") and row["budget"] in (budget, 1.0)
    }
    networks = dict.fromkeys(name.removesuffix("+classes") for name in asked)
    told = [f"{name} {_size(sizes[name])}" for name in networks if name in sizes]
    return f"{str(first['dataset']).replace('_', ' ')}: {', '.join(told)}" if told else ""


def _size(count: float) -> str:
    for unit in _SIZES[:-1]:
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {_SIZES[-1]}"


_TABLES: tuple[tuple[str, Callable[[Results, float], str]], ...] = (
    ("The least MACs within a point of the full network, and the method that has them", _least),
    ("What a device stores at {budget} % of the MACs (the person's classes add a few bytes)", _bytes),
)

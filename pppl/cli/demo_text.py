"""What `pppl demo` prints at the end: ten methods with intervals, and the answer in a sentence."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from ..report.estimate import Estimate
from ..report.folder import FolderTables
from ..report.markdown import headline
from ..report.names import row_key
from ..report.practice import verdict
from ..report.table import EMPTY, TableRow
from ..system.printable import align

# Methods and controls, each with what it is. All others stand in the report.
_WHOLE = {
    "full": "the full network",
    "full+classes": "its outputs corrected (*)",
    "finetune": "trained on the person's labels",
}
_PRUNED = {
    "l1_local": "L1: one network for all, not retrained",
    "l1_local+finetune": "  and trained on the person's labels",
    "l1_local+retrain+classes": "  and retrained for all (*)",
    "ppp@nothing+classes own": "gates that see nobody: one mask for all (*)",
    "ppp@persons+classes own": "PPP: a mask for each person (*)",
    "ppp@persons+classes other": "  control: another person's mask (*)",
    "ppp@persons+classes random": "  control: a random mask (*)",
    "ppp@tenth own": "PPP after the paper: gates for each sample",
    "ocap": "OCAP: channels that the person's samples use",
}
_STAR = "(*) corrected for the classes that the person's unlabelled samples are taken for"
# What the answer holds against each other, and how it calls them.
_PPP, _ONE_FOR_ALL = "ppp@persons+classes", "l1_local+retrain+classes"
_ANSWERS = {
    "gains": "The mask for each person is better.",
    "loses": "The network for all is better.",
    "equal within {step}": "The two are equal within a point.",
    "not told apart": "That is not enough to tell which is better.",
}


def demo_as_text(results: FolderTables) -> str:
    """Return a table of the methods that matter, and what it comes to in a sentence.

    Accuracies are in %, with 95 % intervals over persons and seeds.

    ```python
    print(demo_as_text(read_results(Path("results/demo"))))
    ```
    """
    budget, rows = headline(results), results.main.rows
    whole = [*_cells(_WHOLE, [row for row in rows if row["budget"] == 1.0])]
    pruned = [*_cells(_PRUNED, [row for row in rows if row["budget"] == budget])]
    lines = align([*whole, *pruned])
    parts = (
        _title(rows),
        _part("At all MACs", lines[: len(whole)]),
        _part(f"At {budget:.0%} of the MACs", lines[len(whole) :]),
        _STAR,
        _answer(results, budget),
        _whose(results, budget),
    )
    return "\n\n".join(filter(None, parts))


def _title(rows: Sequence[TableRow]) -> str:
    pairs, people = (f"{float(rows[0][name]):.0f}" for name in ("n", "people"))
    return f"Accuracy in % [95 % interval over persons and seeds]; {people} persons, {pairs} person-seed pairs"


def _part(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)]) if lines else ""


def _cells(names: Mapping[str, str], rows: Sequence[TableRow]) -> Iterator[list[str]]:
    found = {row_key(row): row for row in reversed(rows)}
    for key, text in names.items():
        if key in found:
            estimate = Estimate.of(found[key], "score")
            low, high = (estimate.metric.show(value) for value in (estimate.low, estimate.high))
            yield [text, f"{estimate.metric.show(estimate.value):>5} [{low}, {high}]", key]


def _answer(results: FolderTables, budget: float) -> str:
    """Return how PPP compares with one network for all; empty if the two were not compared."""
    scores = {row_key(row): Estimate.of(row, "score") for row in results.main.rows if row["budget"] == budget}
    for row in _rows(results, "answers.csv", _ONE_FOR_ALL, budget):
        difference = Estimate.of(row, "difference")
        text = (
            f"Answer: at {budget:.0%} of the MACs, a mask for each person has {scores[f'{_PPP} own'].as_value}, "
            f"one small network for all {scores[_ONE_FOR_ALL].as_value}: person by person, the mask is "
            f"{difference.against('it')}. {_ANSWERS[verdict(difference)]}"
        )
        return _wrapped(text)
    return ""


def _whose(results: FolderTables, budget: float) -> str:
    """Return what a person's own mask gains over somebody else's; empty if nobody else's was measured."""
    for row in _rows(results, "gains.csv", "other", budget):
        return _wrapped(f"Their own mask less that of another person: {Estimate.of(row, 'gain').in_points}.")
    return ""


def _rows(results: FolderTables, table: str, against: str, budget: float) -> list[TableRow]:
    key = (_PPP, against, budget)
    rows = results.tables.get(table, EMPTY).rows
    return [row for row in rows if (row["method"], row["against"], row["budget"]) == key]


def _wrapped(text: str) -> str:
    return textwrap.fill(text.replace("\N{NO-BREAK SPACE}", " "), 90)

"""What `pppl demo` prints at the end: ten methods with intervals, and the answer in a sentence."""

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
    budget = headline(results)
    rows = results.main.rows
    return "\n\n".join(
        part
        for part in (
            _title(rows),
            _table("At all MACs", _WHOLE, [row for row in rows if row["budget"] == 1.0]),
            _table(f"At {budget:.0%} of the MACs", _PRUNED, [row for row in rows if row["budget"] == budget]),
            _STAR,
            _answer(results, budget),
        )
        if part
    )


def _title(rows: Sequence[TableRow]) -> str:
    pairs, people = (f"{float(rows[0][name]):.0f}" for name in ("n", "people"))
    return f"Accuracy in % [95 % interval over persons and seeds]; {people} persons, {pairs} person-seed pairs"


def _table(title: str, names: Mapping[str, str], rows: Sequence[TableRow]) -> str:
    """Return the lines of one budget: what a method is, its accuracy and its name; empty if it has none of them."""
    lines = align([*_cells(names, rows)])
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)]) if lines else ""


def _cells(names: Mapping[str, str], rows: Sequence[TableRow]) -> Iterator[list[str]]:
    found = {row_key(row): row for row in reversed(rows)}
    for key, text in names.items():
        if key in found:
            estimate = Estimate.of(found[key], "score")
            low, high = (estimate.metric.show(value) for value in (estimate.low, estimate.high))
            yield [text, f"{estimate.metric.show(estimate.value):>5} [{low}, {high}]", key]


def _answer(results: FolderTables, budget: float) -> str:
    """Return how PPP compares with one network for all, in a sentence; empty if the two were not compared."""
    scores = {row_key(row): Estimate.of(row, "score") for row in results.main.rows if row["budget"] == budget}
    for row in results.tables.get("answers.csv", EMPTY).rows:
        if (row["method"], row["against"], row["budget"]) == (_PPP, _ONE_FOR_ALL, budget):
            difference = Estimate.of(row, "difference")
            return (
                f"Answer: at {budget:.0%} of the MACs, a mask for each person has {scores[f'{_PPP} own'].as_value},\n"
                f"one small network for all {scores[_ONE_FOR_ALL].as_value}: person by person, the mask is\n"
                f"{difference.against('it')}. {_ANSWERS[verdict(difference)]}"
            ).replace("\N{NO-BREAK SPACE}", " ")
    return ""

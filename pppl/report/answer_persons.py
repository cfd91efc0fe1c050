"""The answer for persons: the best method, its distance to the full network, and gains by training and own samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ..figures.accuracy_vs_macs import shown_budgets
from ..figures.looks import Looks
from ..figures.protocols import counts_classes
from ..figures.retraining import training_label
from ..tables.metric import metric_of
from .answer_rivals import tell_rivals
from .columns import FORMATS
from .estimate import Estimate, overlap, subtract, subtract_from_full
from .folder import FolderTables
from .html import Html, element, join
from .names import label_of, protocol_of
from .table import EMPTY, TableRow
from .trained_on import trained_on

_PROTOCOL = ["dataset", "backbone", "persons", "seen"]
_UNITS = {"macs": "MACs", "params": "parameters"}
_TRAINING_STEPS = {
    "finetune": "fine-tuned on the person",
    "retrain": "retrained for everybody",
    "diff": "with a difference learnt on the person",
}


@dataclass(frozen=True)
class _Protocol:
    """Rows of `summary.csv`, `table.csv.gz`, `gains.csv` and `effort.csv` for the same persons.

    - `name`: of these persons.
    - `methods`: rows of `summary` at the reported budget, own samples only, best first; without the full network.
    - `looks`: which say how methods are called.
    """

    name: str
    looks: Looks
    methods: Sequence[TableRow]
    summary: Sequence[TableRow]
    rows: Sequence[TableRow]
    gains: Sequence[TableRow]
    effort: Sequence[TableRow]

    @property
    def trained(self) -> TableRow | None:
        """The best method that is trained after pruning."""
        return next((row for row in self.methods if training_label(row)), None)

    @property
    def untrained(self) -> TableRow | None:
        """The best method that is not trained after pruning."""
        return next((row for row in self.methods if not training_label(row)), None)

    @property
    def gaining(self) -> tuple[TableRow | None, str]:
        """The best method whose personal gain is known, and the control that the gain is over."""
        known = {(row["method"], row["against"]) for row in self.gains}
        against = "twin" if any(control == "twin" for _, control in known) else "other"
        return next((row for row in self.methods if (row["method"], against) in known), None), against


def answer_persons(results: FolderTables) -> list[Html]:
    """Return a paragraph on what is compared, and one for each protocol."""
    budget = shown_budgets(pd.DataFrame(results.main.rows))[0]
    firsts = {tuple(row[name] for name in _PROTOCOL): row for row in reversed(results.main.rows)}
    protocols = [_protocol(results, row, budget) for row in reversed(firsts.values())]
    return [_opening(results, budget), element("div", *map(_paragraph, protocols), class_="protocols")]


def _protocol(results: FolderTables, row: TableRow, budget: float) -> _Protocol:
    title = protocol_of(row, told=len(results.main.distinct("seen")) > 1)
    for name in _PROTOCOL[:2]:
        title += f", {row[name]}" * (len(results.main.distinct(name)) > 1)
    summary = results.main.alike(row, _PROTOCOL).rows
    rows = results.rows.alike(row, _PROTOCOL).rows
    gains = results.tables.get("gains.csv", EMPTY).alike(row, _PROTOCOL).rows
    methods = [each for each in summary if each["budget"] == budget and each["control"] in ("", "own")]
    methods = sorted(
        (each for each in methods if each["method"] != "full"), key=lambda each: -results.metric.sign * each["score"]
    )
    gains = [each for each in gains if each["budget"] == budget]
    effort = results.tables.get("effort.csv", EMPTY).rows
    return _Protocol(title, results.looks, methods, summary, rows, gains, effort)


def _opening(results: FolderTables, budget: float) -> Html:
    persons, pruning = (results.config.get(name) for name in ("persons", "pruning"))
    query = persons.get("query") if isinstance(persons, dict) else ""
    unit = _UNITS.get(str(pruning.get("unit")), "MACs") if isinstance(pruning, dict) else "MACs"
    size = (
        f"at {budget * 100:g}\N{NO-BREAK SPACE}% of the full network's {unit}"
        if budget < 1
        else "of networks that are not pruned"
    )
    whom = "validation persons (not test persons)" if query == "validation" else "the persons' own queries"
    return element(
        "p",
        f"{results.metric.heading} on {whom}, {size}: means over persons and seeds with 95 % intervals in brackets. ",
        "Whatever is best here was chosen by the very numbers that are told of it, which flatters it.",
    )


def _paragraph(protocol: _Protocol) -> Html:
    first = protocol.summary[0]
    title = protocol.name[:1].upper() + protocol.name[1:]
    counts = f" ({first['n']:,.0f} person-seed pairs, {first['people']:,.0f} different). "
    sentences = [_full(protocol), *_best(protocol), *_training(protocol), *_gain(protocol)]
    prose = element("p", element("strong", title), counts, join(sentences, " "))
    return element("div", prose, *_rivals(protocol))


def _full(protocol: _Protocol) -> Html:
    whole = next((row for row in protocol.summary if row["method"] == "full"), None)
    first = protocol.summary[0]
    score = Estimate(first["score_full"], metric=metric_of(first)) if whole is None else Estimate.of(whole, "score")
    return join((f"The full network has {score.as_value}.",))


def _best(protocol: _Protocol) -> list[Html]:
    """Return a sentence on the best method, and one on the best of the other kind.

    The kinds are methods that are trained after pruning and methods that are not.
    """
    if not protocol.methods:
        return []
    best, *others = protocol.methods
    also = overlap(sum(_reaches(row, best) for row in others), len(others))
    prune = " that prune" if best["budget"] < 1 else ""
    of = f"Best of {len(others) + 1} methods{prune}" if others else "The only method"
    how = _trained_on(best, protocol.effort) or " (nothing is trained after pruning)"
    sentences = [join((f"{of} is ", _described(best, protocol), f"{how}{also}."))]
    next_one = protocol.untrained if training_label(best) else protocol.trained
    if next_one is not None:
        what = "Of those that are retrained" if training_label(next_one) else "Without any training after pruning"
        distance = subtract(next_one, best, protocol.rows).against(label_of(best, protocol.looks))
        parts = (
            f"{what}, the best is ",
            _described(next_one, protocol),
            f"{_trained_on(next_one, protocol.effort)} and {distance}.",
        )
        sentences.append(join(parts))
    return sentences


def _reaches(row: TableRow, best: TableRow) -> bool:
    """Return whether the interval of a row reaches into that of the best."""
    higher_is_better = metric_of(best).higher_is_better
    return row["score_high"] >= best["score_low"] if higher_is_better else row["score_low"] <= best["score_high"]


def _described(row: TableRow, protocol: _Protocol) -> Html:
    score, distance = Estimate.of(row, "score"), subtract_from_full(row, protocol.rows)
    return join(
        (element("b", label_of(row, protocol.looks)), f": {score.as_value}, {distance.against('the full network')}")
    )


def _trained_on(row: TableRow, effort: Sequence[TableRow]) -> str:
    told = trained_on([row], effort)
    return f" (retrained; beyond the full network: {told})" if training_label(row) else ""


def _training(protocol: _Protocol) -> list[Html]:
    """Return a sentence on the method that gains most by a training step."""
    pairs = [(base, row) for row in protocol.methods for base in protocol.methods if _base(row) == base["method"]]
    if not pairs:
        return []
    base, row = max(pairs, key=lambda pair: metric_of(pair[1]).sign * (pair[1]["score"] - pair[0]["score"]))
    added, lift = _TRAINING_STEPS[row["method"].rpartition("+")[2]], subtract(row, base, protocol.rows)
    start, end = (Estimate(each["score"], metric=metric_of(each)).as_value for each in (base, row))
    text = f" gains most by training: {added}, it goes from {start} to {end}, by {lift.in_points}."
    return [join((element("b", label_of(base, protocol.looks)), text))]


def _base(row: TableRow) -> str:
    """Return the method without its last step; empty if that step does not train."""
    base, _, step = row["method"].rpartition("+")
    return base if step in _TRAINING_STEPS else ""


def _gain(protocol: _Protocol) -> list[Html]:
    """Return a sentence on the personal gain of the best method that has one.

    The gain is over a twin's samples, or over another person's if no method has a twin.
    """
    row, against = protocol.gaining
    if row is None:
        return []
    of_method = {(row["method"], row["against"]): row for row in protocol.gains}
    other, population = (of_method.get((row["method"], control)) for control in (against, "population"))
    p_value = other.get("holm_p", "") if other else ""
    tested = f" ({_p(p_value)})" if isinstance(p_value, float) and p_value == p_value else ""
    whose = _WHOSE[against] + " (of the same classes)" * (against == "twin" and counts_classes(row))
    text = f", own less {whose}, is {Estimate.of(other or {}, 'gain').in_points}{tested}"
    if population is not None:
        text += f", and over everybody's {Estimate.of(population, 'gain').in_points}"
    return [join(("The personal gain of ", element("b", label_of(row, protocol.looks)), f"{text}."))]


def _rivals(protocol: _Protocol) -> list[Html]:
    """Return a list of the controls and free baselines that beat each method that is praised."""
    praised = [*protocol.methods[:1], protocol.untrained, protocol.gaining[0]]
    named = {row["method"]: row for row in praised if row is not None}
    told = [tell_rivals(row, protocol.summary, protocol.rows, protocol.looks) for row in named.values()]
    items = [element("li", sentence) for sentence in told if sentence]
    unit = f"In points of {metric_of(protocol.summary[0]).title}:" if metric_of(protocol.summary[0]).percent else ""
    return [element("p", unit, class_="note"), element("ul", *items, class_="practice")] if items else []


_WHOSE = {"twin": "a twin's samples", "other": "another person's samples"}


def _p(value: float) -> str:
    text = FORMATS["p"](value)
    return f"p {text if text.startswith('<') else f'= {text}'}".replace(" ", "\N{NO-BREAK SPACE}") + ", corrected"

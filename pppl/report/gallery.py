"""The gallery of persons: who gains and who loses by a method, on cards for the largest of both and in a table."""

import math
from collections.abc import Sequence

from ..figures.protocols import name_persons
from ..tables.metric import Metric
from .columns import Column
from .folder import FolderTables
from .grid import Choice, grid
from .html import Html, element, join
from .names import label_of, yes_or_no
from .person_scores import Pairing, PersonScores, choose_pair, person_scores
from .table import Table

_SHOWN = 10  # cards of those who gain, and of those who lose
_WIDTH, _HEIGHT = 120, 10
_BARS = ("full", "against", "method")


def gallery(results: FolderTables, against: str = "") -> Html:
    """Return cards of the ten persons with the largest gain and the largest loss, and a table of all persons.

    It is empty without rows of persons, or if only one method was measured.

    **Arguments:**

    - `against`: the method that the reference, or else the best method, is held against; by default the full network
      with the person's classes, or without them.

    Raise `UserError` if that method was not measured.
    """
    pair = choose_pair(results, against) if results.kind == "persons" and results.rows.rows else None
    persons = person_scores(results, pair) if pair is not None else []
    if pair is None or not persons:
        return Html()
    ranked = sorted(persons, key=lambda each: -results.metric.sign * each.difference)
    gaining = [each for each in ranked if results.metric.sign * each.difference > 0]
    losing = [each for each in reversed(ranked) if results.metric.sign * each.difference < 0]
    limits = _limits(persons, results.metric)
    parts = [_introduction(pair, results, len(gaining), len(losing), len(persons))]
    for title, some in (("Largest gains", gaining), ("Largest losses", losing)):
        cards = [_card(each, results.metric, limits) for each in some[:_SHOWN]]
        parts += [element("h3", title), element("div", *cards, class_="cards")] if cards else []
    return join([*parts, element("h3", "All persons"), _table(ranked, pair, results)])


def _introduction(pair: Pairing, results: FolderTables, gaining: int, losing: int, count: int) -> Html:
    method, against = (element("b", label_of(row, results.looks)) for row in (pair.method, pair.against))
    budget = f" at {pair.method['budget'] * 100:g} % of the MACs" if pair.method["budget"] < 1 else ""
    same = count - gaining - losing
    return element(
        "p",
        *(
            "Each person under ",
            method,
            f"{budget} (method), held against ",
            against,
            " (against) and the full network ",
        ),
        "(full), on the person's own queries. "
        f"Of {count:,}, {gaining:,} gain, {losing:,} lose and {same:,} stay equal. "
        "Scores of a person with few queries vary by chance, so the ends of such a list are extreme by chance, too.",
    )


def _limits(persons: Sequence[PersonScores], metric: Metric) -> tuple[float, float]:
    """Return the scores at which bars begin and end."""
    if metric.percent:
        return 0.0, 1.0
    scores = [score for each in persons for score in (each.full, each.against, each.score) if math.isfinite(score)]
    return min(0.0, *scores), max(0.0, *scores) or 1.0


def _card(person: PersonScores, metric: Metric, limits: tuple[float, float]) -> Html:
    """Return a card: names, what kind of person, the difference, and a bar for each score."""
    about = [person.classes] * bool(person.who and person.classes) + [_kind_of(person)]
    about.append(f"{person.seeds} seed{'s' * (person.seeds != 1)}")
    sign = "+" * (person.difference > 0)
    unit = f"{metric.points.strip(' ()')}" if metric.percent else ""
    scores = (person.full, person.against, person.score)
    bars = [_bar(name, score, metric, limits) for name, score in zip(_BARS, scores, strict=True)]
    return element(
        "div",
        element("strong", person.who or person.classes),
        element("span", f"{sign}{metric.show(person.difference)} {unit}".strip(), class_="change"),
        element("p", ", ".join(about), class_="quiet"),
        element("dl", *bars, class_="bars"),
        class_="card",
    )


def _bar(name: str, score: float, metric: Metric, limits: tuple[float, float]) -> Html:
    low, high = limits
    ends = [min(1.0, max(0.0, (value - low) / (high - low))) * _WIDTH for value in (0.0, score)]
    first, last = sorted(ends) if math.isfinite(score) else (0.0, 0.0)
    fill = element("rect", x=f"{first:.1f}", y=1, width=f"{last - first:.1f}", height=_HEIGHT - 2, class_=name)
    frame = element("rect", x=0, y=1, width=_WIDTH, height=_HEIGHT - 2, class_="frame")
    svg = element("svg", frame, fill, width=_WIDTH, height=_HEIGHT, aria_hidden="true")
    text = metric.show(score) if math.isfinite(score) else ""
    return join((element("dt", name), element("dd", svg), element("dd", text, class_="number")))


def _kind_of(person: PersonScores) -> str:
    """Return whether somebody was seen in training; for a subset of classes, how many these are."""
    if person.who:
        return {"True": "seen in training", "False": "unseen in training"}.get(person.seen, "")
    return person.kind


def _table(persons: Sequence[PersonScores], pair: Pairing, results: FolderTables) -> Html:
    metric = results.metric
    kind = "percent" if metric.percent else "plain"
    rows = [
        {
            "who": each.who or each.classes,
            "classes": each.classes or "all",
            "dataset": each.dataset,
            "kind": name_persons(each.kind, pair.method),
            "seen": yes_or_no(each.seen),
            "seeds": float(each.seeds),
            "difference": each.difference,
            "score": each.score,
            "against": each.against,
            "full": each.full,
        }
        for each in persons
    ]
    titles = {
        "who": ("Person", "text"),
        "classes": ("Classes", "text"),
        "dataset": ("Data", "text"),
        "kind": ("Kind", "text"),
        "seen": ("Seen in training", "text"),
        "seeds": ("Seeds", "count"),
        "difference": (f"Method less against{metric.points}", kind),
        "score": (f"Method{metric.unit}", kind),
        "against": (f"Against{metric.unit}", kind),
        "full": (f"Full{metric.unit}", kind),
    }
    table = Table([*titles], rows)
    columns = [
        Column(name, title, kind)
        for name, (title, kind) in titles.items()
        if name not in ("dataset", "kind", "seen") or len(table.distinct(name)) > 1
    ]
    choices = [Choice.by("Kind", [row["kind"] for row in rows]), Choice.by("Seen", [row["seen"] for row in rows])]
    return grid("Persons", table, columns, [choice for choice in choices if len(choice.options) > 1])

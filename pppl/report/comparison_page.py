"""The HTML page that shows two results folders side by side."""

from collections.abc import Sequence
from pathlib import Path

from .columns import Column
from .differing import differences
from .estimate import Estimate
from .folder import FolderTables
from .grid import Choice, grid
from .html import Html, element, join
from .main_tables import budget_choice
from .markdown import headline
from .names import label_of, protocol_of, yes_or_no
from .page import document
from .side_by_side import SharedRow, SideBySide, side_by_side
from .table import Table

_SHOWN = 5  # of the largest differences, to each side


def comparison_page(one: FolderTables, two: FolderTables) -> Html:
    """Return the whole document.

    Raise `UserError` if the folders have nothing in common that can be compared.
    """
    found, names = side_by_side(one, two), _names(one.folder, two.folder)
    settings = differences(one, two)
    parts = [
        ("answer", "Answer", join(_answer(found, one, names, len(settings)))),
        ("differing", "Where they differ", _differing(settings, names)),
        ("summary", "Side by side", _table(found, one, names)),
    ]
    title = f"{names[0]} and {names[1]}"
    about = f"{len(found.sides):,} rows in both"
    return document(title, "Which results changed from one folder to the other, and why could they?", about, parts)


def _names(one: Path, two: Path) -> tuple[str, str]:
    """Return names for both folders: the last parts of their paths that tell them apart."""
    paths = [path.resolve().parts for path in (one, two)]
    depth = next((n for n in range(1, max(map(len, paths)) + 1) if paths[0][-n:] != paths[1][-n:]), 1)
    first, second = ("/".join(parts[-depth:]) for parts in paths)
    return first, second


def _answer(found: SideBySide, one: FolderTables, names: tuple[str, str], count: int) -> list[Html]:
    paired = [side for side in found.sides if side.common]
    apart = [side for side in paired if side.is_told_apart]
    size = f"{len(found.sides):,} rows are in both {names[0]} and {names[1]}"
    pairs = f", {len(paired):,} of them with persons in common, on whom differences are paired" if paired else ""
    parts = [element("p", f"{size}{pairs}. In {count:,} settings or other facts they differ.")]
    if paired:
        equal = sum(abs(side.difference) < 1e-9 and side.low == side.high for side in paired)
        told = f"Of the paired differences, {len(apart):,} have an interval that excludes 0, and {equal:,} are all 0."
        chance = (
            "One in twenty such intervals excludes 0 by chance." if apart else "The largest are listed all the same."
        )
        parts.append(element("p", f"{told} {chance}"))
    ranked = sorted(_reported(apart or found.sides, one), key=lambda side: -one.metric.sign * side.difference)
    whom = ", on the persons in both" * bool(paired)
    for title, some in (("Higher", ranked[:_SHOWN]), ("Lower", ranked[::-1][:_SHOWN])):
        better = [side for side in some if (side.difference > 0) == (title == "Higher") and side.difference]
        items = [element("li", _told(side, one)) for side in better]
        parts += (
            [element("p", element("strong", f"{title} in {names[1]}{whom}:")), element("ul", *items)] if items else []
        )
    for name, only in ((names[0], found.only_one), (names[1], found.only_two)):
        parts += [element("p", f"Only in {name}: {', '.join(only)}.")] if only else []
    return parts


def _reported(sides: Sequence[SharedRow], one: FolderTables) -> list[SharedRow]:
    """Return the rows at the budget of reports; all if none is at it."""
    if one.kind != "persons":
        return list(sides)
    budget = headline(one)
    return [side for side in sides if side.one["budget"] in (budget, 1.0)] or list(sides)


def _told(side: SharedRow, one: FolderTables) -> Html:
    estimate = Estimate(side.difference, side.low, side.high, one.metric)
    whom = side.one["task"] if one.kind == "tasks" else protocol_of(side.one, told=True)
    name = side.one["method"] if one.kind == "tasks" else label_of(side.one, one.looks)
    scores = " to ".join(Estimate(score, metric=one.metric).as_value for score in (side.before, side.after))
    return join((element("b", name), f", {whom}: from {scores}, by {estimate.in_points}"))


def _differing(settings: Sequence[tuple[str, str, str]], names: tuple[str, str]) -> Html:
    if not settings:
        return element("p", "In nothing that run.json tells.")
    rows = [{"what": what, "one": before or "none", "two": after or "none"} for what, before, after in settings]
    columns = [Column("what", "What", "text"), Column("one", names[0], "text"), Column("two", names[1], "text")]
    note = "From run.json of both folders: data, code and settings that rows depend on, hardware and packages."
    return join((element("p", note, class_="note"), grid("What differs", Table(["what", "one", "two"], rows), columns)))


def _table(found: SideBySide, one: FolderTables, names: tuple[str, str]) -> Html:
    metric, is_persons = one.metric, one.kind == "persons"
    rows = [_row(side, one) for side in found.sides]
    table = Table([*rows[0]], rows)
    kind = "percent" if metric.percent else "plain"
    keys = {"dataset": "Data", "persons": "Persons", "seen": "Seen", "task": "Task", "label": "Method"}
    columns = [
        Column(name, title, "text") for name, title in keys.items() if name in table.names and _varies(table, name)
    ]
    columns += [table.column("budget")] if is_persons else []
    columns += [
        Column("score", f"{metric.heading} in {names[0]}{metric.unit}", kind, bar=True),
        Column("other", f"{metric.heading} in {names[1]}{metric.unit}", kind, bar=True),
        Column("change", f"{names[1]} less {names[0]}{metric.points}", kind),
        *([Column("common", "Persons in both", "count")] if is_persons else []),
        *[Column(name, f"MACs in {of} (%)", "percent") for name, of in zip(("macs", "macs_other"), names, strict=True)]
        * is_persons,
    ]
    choices = [
        Choice.by(title, [yes_or_no(str(row[name])) for row in rows])
        for name, title in keys.items()
        if name in table.names and name != "label" and _varies(table, name)
    ]
    note = "Differences are paired over the persons and seeds that both folders have, with their 95 % intervals."
    choices += [budget_choice(table)] if is_persons else []
    return join((element("p", note, class_="note"), grid("Side by side", table, columns, choices)))


def _varies(table: Table, name: str) -> bool:
    return name == "label" or len(table.distinct(name)) > 1


def _row(side: SharedRow, one: FolderTables) -> dict[str, object]:
    row, other = side.one, side.two
    keys = {name: row[name] for name in ("dataset", "persons", "seen", "task", "method", "budget") if name in row}
    label = label_of(row, one.looks) if one.kind == "persons" else row["method"]
    scores = {f"score{end}": row[f"score{end}"] for end in ("", "_low", "_high")}
    others = {f"other{end}": other[f"score{end}"] for end in ("", "_low", "_high")}
    change = {"change": side.difference, "change_low": side.low, "change_high": side.high}
    macs = {"macs": row["macs_fraction"], "macs_other": other["macs_fraction"]} if "macs_fraction" in row else {}
    return {**keys, "label": label, **scores, **others, **change, "common": float(side.common), **macs}

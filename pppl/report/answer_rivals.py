"""Sentences on the controls and free baselines that beat what a report praises."""

from collections.abc import Iterable, Sequence

from ..figures.looks import Looks
from ..tables.metric import metric_of
from ..tables.rivals import CONTROLS, Rival, rivals
from .html import Html, element, join
from .names import label_of
from .table import TableRow

_GROUPS = ("By controls", "By free baselines at the same budget", "By free baselines that are not pruned")


def tell_rivals(praised: TableRow, summary: Sequence[TableRow], rows: Sequence[TableRow], looks: Looks) -> Html:
    """Return a sentence that names every control and free baseline that beats a method, with the distance in points.

    A further sentence names its own controls that are not told apart from it.

    **Arguments:**

    - `praised`: a row of `summary`.
    - `summary`, `rows`: rows of `summary.csv` and `table.csv.gz` about the same group of persons.
    """
    found = rivals(praised, summary, rows)
    groups = [(group, list(_told(found, praised, group, looks))) for group in _GROUPS]
    better = " ".join(f"{group}: {'; '.join(told)}." for group, told in groups if told)
    level = [label_of(rival.row, looks) for rival in found if _is_own_control(rival, praised) and rival.is_level]
    name = element("b", label_of(praised, looks))
    is_beaten = any(rival.beats and rival.is_told_apart for rival in found)
    how = element("strong", " is beaten" if is_beaten else " is behind others, but not told apart from them,")
    parts: list[str] = [name, how, f" on the same persons. {better}"]
    if not better:
        parts = ["No control and no free baseline beats ", name, "."] if found else []
    if level:
        parts.append(f" Controls of its own that are not told apart from it: {'; '.join(level)}.")
    return join(parts)


def _told(found: Iterable[Rival], praised: TableRow, group: str, looks: Looks) -> Iterable[str]:
    """Yield what is better in a group, with the distance."""
    for rival in found:
        if rival.beats and _group_of(rival, praised) == group:
            apart = "" if rival.is_told_apart else " (not told apart)"
            yield f"{label_of(rival.row, looks)} {tell_points(rival)}{apart}"


def _group_of(rival: Rival, praised: TableRow) -> str:
    if str(rival.row["control"]) in CONTROLS:
        return _GROUPS[0]
    return _GROUPS[1 if rival.row["budget"] == praised["budget"] else 2]


def _is_own_control(rival: Rival, praised: TableRow) -> bool:
    return rival.row["method"] == praised["method"] and str(rival.row["control"]) in CONTROLS


def tell_points(rival: Rival) -> str:
    """Return the distance of a rival, with a sign and without a unit: `+29.3 [25.0, 33.6]`."""
    show = metric_of(rival.row).show
    ends = f" [{show(rival.low)},\N{NO-BREAK SPACE}{show(rival.high)}]" if rival.low == rival.low else ""
    return f"{'+' * (rival.difference > 0)}{show(rival.difference)}{ends}"

"""The table of a network's channels: which can be removed together, which stay, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil
from typing import Any

from ..system.printable import align
from .results_frame import table_as_html

_HEAD = ("channels of", "how many", "also in", "read by", "stay because")


@dataclass(frozen=True, kw_only=True)
class GroupsTable:
    """A table that shows itself in a notebook or a terminal.

    - `title`: what can be removed in all, and the least possible budget.
    - `rows`: cells in the order of `_HEAD`; groups that can be removed come first.
    """

    title: str
    rows: Sequence[tuple[str, ...]]

    @staticmethod
    def of(backbone: Any, least: float) -> "GroupsTable":
        """Return the table of a `Backbone`.

        **Arguments:**

        - `least`: the fraction of the MACs that one channel per group takes.
        """
        rows = [
            (
                group.producer.removeprefix("net."),
                _how_many(width, group),
                _count([*group.partners, *group.followers]),
                ", ".join(path.removeprefix("net.") for path in group.consumers),
                "",
            )
            for group, width in zip(backbone.groups, backbone.widths, strict=True)
        ]
        left_out = getattr(backbone, "left_out", ())
        rows += [(each.path, str(each.channels), "", "", each.reason) for each in left_out]
        count, channels = len(backbone.groups), sum(backbone.widths)
        title = (
            f"{backbone.spec.backbone}: {count} group{'s' * (count != 1)} with {channels:,} channels can lose some; "
            f"the least possible budget is {ceil(least * 10_000) / 10_000:g} of the MACs"
        )
        return GroupsTable(title=title, rows=rows)

    def __str__(self) -> str:
        """Return the table as aligned text."""
        return "\n".join([self.title, "", *align([_HEAD, *self.rows])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the table as HTML, for notebooks."""
        return f"<div><p>{escape(self.title)}</p>{table_as_html(_HEAD, self.rows)}</div>"


def _how_many(width: int, group: Any) -> str:
    entries = group.span(group.producer).count
    return f"{width} heads" if group.counters else str(width) + f" of {entries} each" * (entries > 1)


def _count(paths: Sequence[str]) -> str:
    return f"{len(paths)} layer{'s' * (len(paths) != 1)}" if paths else ""

"""Every column of every table, from the schema."""

from collections.abc import Iterator

from pppl.tables.column_texts import COLUMN_TEXTS
from pppl.tables.schema import COLUMN_TYPES

from .markdown import table

_STEPS = {"metric": "score", "one": "1 point", "three": "3 points"}
_UNITS = {
    "metric": "the task's metric, in [0, 1] for accuracy",
    "points": "a difference in the metric; people are shown points",
    "percent": "a fraction in [0, 1]; people are shown %",
    "kilobytes": "bytes; people are shown kB",
    "count": "a count",
    "p": "a p-value",
    "budget": "a fraction of the full network's MACs, or `any`",
    "number": "",
    "text": "",
}


def pages() -> Iterator[tuple[str, str]]:
    """Yield the page of all columns."""
    rows = [
        [f"`{name}`", COLUMN_TEXTS[name], column.title.format(**_STEPS), column.kind, _UNITS[column.unit]]
        for name, column in COLUMN_TYPES.items()
    ]
    yield (
        "columns.md",
        "# Columns\n\n"
        "The columns of all tables in a results folder, each declared once. `NAME_low` and `NAME_high` are the ends of "
        "a 95 % interval of `NAME`. `pppl.tables.load_frame` reads any of the tables with these types, and "
        "`pppl explain COLUMN` tells the same.\n\n"
        + table(["column", "what it holds", "title in reports", "kind", "unit"], rows),
    )

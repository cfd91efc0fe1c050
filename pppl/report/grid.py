"""HTML tables whose rows a reader can sort, search and filter."""

from collections.abc import Sequence
from dataclasses import dataclass

from .columns import FORMATS, Column, is_missing
from .html import Html, element, join
from .names import yes_or_no
from .table import Table, TableRow
from .whisker import whisker


@dataclass(frozen=True)
class Choice:
    """A drop-down above a table.

    - `title`: the label beside it.
    - `options`: the values to choose from.
    - `of_row`: for each row, the options under which it is shown.
    - `chosen`: the option at first; empty for all rows.
    """

    title: str
    options: Sequence[str]
    of_row: Sequence[Sequence[str]]
    chosen: str = ""

    @classmethod
    def by(cls, title: str, values: Sequence[str]) -> "Choice":
        """Return a drop-down with an option for each distinct value.

        **Arguments:**

        - `values`: one for each row of the table.
        """
        return cls(title, list(dict.fromkeys(values)), [[value] for value in values])


def grid(name: str, table: Table, columns: Sequence[Column], choices: Sequence[Choice] = ()) -> Html:
    """Return a table in a scrolling container, with controls that sort and filter its rows.

    **Arguments:**

    - `name`: of its content, for screen readers.
    - `table`: a column `x` with `x_low` and `x_high` in the same table is shown with its interval.
    - `columns`: those shown, from left to right.
    - `choices`: drop-downs; those with one option are left out.
    """
    choices = [choice for choice in choices if len(choice.options) > 1]
    scales = {column.name: _scale(column, table) for column in columns if column.bar}
    body = [
        element(
            "tr",
            *(_cell(column, row, scales.get(column.name)) for column in columns),
            **{f"data_c{at}": _places(choice, row_at) for at, choice in enumerate(choices)},
        )
        for row_at, row in enumerate(table.rows)
    ]
    content = element(
        "table",
        element("caption", name, class_="unseen"),
        element("thead", element("tr", *map(_header, columns))),
        element("tbody", join(body, "\n")),
    )
    # The container can be focused, so the keyboard scrolls it, too.
    scroll = element("div", content, class_="scroll", role="region", aria_label=name, tabindex=0)
    return element("div", _controls(name, choices, len(table.rows)), scroll, class_="grid")


def _header(column: Column) -> Html:
    what = "text" if column.kind == "text" else "number"
    button = element("button", column.title, type="button")
    return element("th", button, scope="col", aria_sort="none", data_kind=what, class_=what, title=column.name)


def _cell(column: Column, row: TableRow, scale: tuple[float, float] | None) -> Html:
    value = row[column.name]
    if column.kind == "text":
        return element("td", yes_or_no(str(value)))
    if is_missing(value):
        return element("td", class_="number")
    text, ends = FORMATS[column.kind](value), [row.get(f"{column.name}{end}", "") for end in ("_low", "_high")]
    content: Sequence[str] = [text]
    if not any(map(is_missing, ends)):
        content = [f"{text} [{', '.join(FORMATS[column.kind](end) for end in ends)}]"]
        if scale:  # a span has a fixed width, which aligns the bars
            content = [whisker(value, ends[0], ends[1], scale), element("span", *content)]
    return element("td", *content, class_="number", data_v=f"{value:.9g}")


def _scale(column: Column, table: Table) -> tuple[float, float]:
    """Return the ends of the bars: 0 and 1 (for gains 0 and 0), or further if an interval is."""
    low = min((low for row in table.rows if (low := row[f"{column.name}_low"]) == low), default=0.0)
    high = max((high for row in table.rows if (high := row[f"{column.name}_high"]) == high), default=1.0)
    return min(0.0, low), max(0.0 if column.name == "gain" else 1.0, high)


def _places(choice: Choice, row: int) -> str:
    return " ".join(str(choice.options.index(option)) for option in choice.of_row[row])


def _controls(name: str, choices: Sequence[Choice], count: int) -> Html:
    """Return the controls, hidden until the script that they need runs."""
    search = element("label", "Search ", element("input", type="search", placeholder="any part of a row"))
    selects = [
        element("label", f"{choice.title} ", _select(choice, f"c{at}"))  # the script finds its data by this number
        for at, choice in enumerate(choices)
    ]
    reset = element("button", "Show all", type="button", class_="reset")
    count_shown = element("output", f"{count:,} rows", aria_live="polite")
    return element(
        "div",
        search,
        *selects,
        reset,
        count_shown,
        class_="controls",
        role="group",
        aria_label=f"Rows of {name}",
        hidden=True,
    )


def _select(choice: Choice, by: str) -> Html:
    options = [
        element("option", option, value=at, selected=option == choice.chosen)
        for at, option in enumerate(choice.options)
    ]
    return element("select", element("option", "all", value=""), *options, data_by=by)

"""Markup in which nothing that comes from data can be markup."""

import html
from collections.abc import Iterable

from ..system.printable import printable


class Html(str):
    """Text that is markup already; any other text is escaped before it goes into a page."""

    __slots__ = ()


def escape(text: str) -> Html:
    """The text as markup: itself where it is `Html`."""
    return text if isinstance(text, Html) else Html(html.escape(printable(text, keep="\n\t"), quote=True))


def element(name: str, *children: str, **attributes: str | float | bool | None) -> Html:
    """An element with its children, which are escaped unless they are `Html`.

    **Arguments:**

    - `attributes`: escaped; an underscore stands for a hyphen, and one at the end for nothing (`class_`). True gives an
      attribute without a value, False and None none.
    """
    told = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    opening = f"<{name}{told}>"
    return Html(opening if name in _VOID else f"{opening}{join(children)}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Html:
    """Parts one after the other, each escaped unless it is `Html`."""
    return Html(escape(between).join(escape(part) for part in parts))


_VOID = {"meta", "link", "img", "input"}


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'

"""HTML markup in which all text from data is escaped."""

import html
from collections.abc import Iterable

from ..system.printable import printable


class Html(str):
    """Text that is markup already. Any other text is escaped before it goes into a page."""

    __slots__ = ()


def escape(text: str) -> Html:
    """Return text as markup; `Html` stays as it is.

    >>> escape("1 < 2"), escape(Html("<br>"))
    ('1 &lt; 2', '<br>')
    """
    return text if isinstance(text, Html) else Html(html.escape(printable(text, keep="\n\t"), quote=True))


def element(name: str, *children: str, **attributes: str | float | bool | None) -> Html:
    """Return an element with its children, which are escaped unless they are `Html`.

    >>> element("p", "1 < 2", class_="note", hidden=True)
    '<p class="note" hidden>1 &lt; 2</p>'

    **Arguments:**

    - `attributes`: escaped. An underscore becomes a hyphen; one at the end is dropped (`class_`). True gives an
      attribute without a value, False and None give no attribute.
    """
    text = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    opening = f"<{name}{text}>"
    return Html(opening if name in _VOID else f"{opening}{join(children)}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Html:
    """Return the parts in a row, each escaped unless it is `Html`.

    >>> join(("R", "D"), " & ")
    'R &amp; D'
    """
    return Html(escape(between).join(escape(part) for part in parts))


_VOID = {"meta", "link", "img", "input"}


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'

"""A mean and its interval, drawn in a cell of a table."""

from .html import Html, element

_WIDTH, _HEIGHT, _ROOM = 110, 14, 2


def whisker(value: float, low: float, high: float, scale: tuple[float, float]) -> Html:
    """Return an SVG: a line over the scale, a bar over the interval, a tall tick at the mean.

    A low tick marks zero if it is inside the scale. Screen readers skip the SVG and read the text beside it.
    """
    x, (first, last), middle = (lambda each: _place(each, scale)), scale, _HEIGHT / 2
    zero = f"M{x(0)} 4V{_HEIGHT - 4}" if first < 0 < last else ""
    return element(
        "svg",
        element("path", class_="scale", d=f"M{_ROOM} {middle:g}H{_WIDTH - _ROOM}{zero}"),
        element("path", class_="interval", d=f"M{x(low)} {middle:g}H{x(high)}"),
        element("path", class_="mean", d=f"M{x(value)} 1V{_HEIGHT - 1}"),
        width=_WIDTH,
        height=_HEIGHT,
        aria_hidden="true",
    )


def _place(value: float, scale: tuple[float, float]) -> str:
    """Return the horizontal position of a value; one outside the scale is at its end."""
    share = (value - scale[0]) / ((scale[1] - scale[0]) or 1)
    return f"{_ROOM + min(1.0, max(0.0, share)) * (_WIDTH - 2 * _ROOM):.1f}"

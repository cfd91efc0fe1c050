"""Looks of methods in figures as an experiment gives them; whatever figures cannot draw is refused by name."""

import re
from collections.abc import Mapping
from typing import Any

from ..system.errors import UserError, unknown
from .tree import require

PARTS = ("label", "colour", "marker", "dash")
CONTROLS = ("own", "population", "other", "twin", "swap", "random")
# Markers and dashes of matplotlib, which is not imported here. An empty one draws none.
MARKERS = ("", *".,ov^<>12348sp*hH+xXDdP|_")
DASHES = ("", "-", "--", "-.", ":")
_COLOUR = re.compile("#[0-9A-Fa-f]{6}")


def check_looks(looks: Any) -> None:
    """Raise `UserError`, naming the key, unless `looks` is what `Experiment.looks` may be."""
    require(isinstance(looks, Mapping), f"looks is {looks!r}: it is a section with names of methods as keys")
    for name, parts in looks.items():
        key = f"looks.{name}"
        require(isinstance(name, str), f"looks holds the name {name!r}: names are text, write {str(name)!r}")
        method, *controls = name.split(" ")
        if not method or len(controls) > 1:
            raise UserError(f"{key} is no name of a method, or of one and a control: write `ppp`, or `ppp other`")
        if controls and controls[0] not in CONTROLS:
            raise unknown(f"control of {key}", controls[0], CONTROLS)
        if not isinstance(parts, Mapping):
            raise UserError(f"{key} is {parts!r}: it is a section with the keys {', '.join(PARTS)}")
        for part, value in parts.items():
            _check_part(f"{key}.{part}", part, value)


def _check_part(key: str, part: Any, value: Any) -> None:
    if part not in PARTS:
        raise UserError(f"unknown key {key!r}: a look has {', '.join(PARTS)}")
    if not isinstance(value, str):
        raise UserError(f"{key} is {value!r}: it is text, such as {_EXAMPLES[part]!r} in quotes")
    if part == "label":
        readable = value.isprintable() and value.strip() and not value.startswith("_")
        require(bool(readable), f"{key} is {value!r}: a legend shows a line of text that does not begin with _")
    if part == "colour":
        require(bool(_COLOUR.fullmatch(value)), f"{key} is {value!r}, which is no colour: write it as '#0072B2'")
    known = {"marker": MARKERS, "dash": DASHES}.get(part, (value,))
    if value not in known:
        raise UserError(f"{key} is {value!r}, which is no {part}: choose from {' '.join(known).strip()}, or ''")


_EXAMPLES = {"label": "PPP", "colour": "#0072B2", "marker": "o", "dash": "--"}

"""The JSON schema of an experiment's file: editors complete keys by it and underline what is misspelt."""

import re
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from .described import Described, describe
from .reading import as_plain
from .tree import Tree

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean"}
_FAST = "What `--fast` changes, by dotted key: fewer epochs, persons and seeds, to see whether everything runs."
# Bounds in the words of rules, and the keywords of the schema for each.
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_BOUNDS = (
    (rf"^at least {_NUMBER}", ("minimum",)),
    (rf"^at most {_NUMBER}", ("maximum",)),
    (rf"^more than {_NUMBER}", ("exclusiveMinimum",)),
    (rf"^{_NUMBER} .*or more$", ("minimum",)),
    (rf"in \[{_NUMBER}, {_NUMBER}\)$", ("minimum", "exclusiveMaximum")),
    (rf"in \({_NUMBER}, {_NUMBER}\]$", ("exclusiveMinimum", "maximum")),
    (rf"in \({_NUMBER}, {_NUMBER}\)$", ("exclusiveMinimum", "exclusiveMaximum")),
    (rf"^{_NUMBER} to {_NUMBER}$", ("minimum", "maximum")),
)


def json_schema(kind: type[Tree]) -> dict[str, Any]:
    """Return the JSON schema of the YAML files of a kind of experiment.

    Sections of plugins that are loaded are in it.

    >>> from pppl import Experiment
    >>> json_schema(Experiment)["properties"]["training"]["properties"]["epochs"]["minimum"]
    1
    """
    settings = describe(kind)
    top = {key: each for key, each in settings.items() if "." not in key}
    properties = {key: _property(each, settings) for key, each in top.items()}
    properties["fast"] = {"type": "object", "description": _FAST, "propertyNames": {"enum": [*_leaves(settings)]}}
    title = kind.__name__
    return {"$schema": _DIALECT, "title": title, **_object(properties)}


def _leaves(settings: Mapping[str, Described]) -> Iterable[str]:
    return (key for key, each in settings.items() if not each.is_section)


def _property(setting: Described, settings: Mapping[str, Described]) -> dict[str, Any]:
    if setting.is_section:
        keys = {key: key.removeprefix(f"{setting.key}.") for key in settings if key.startswith(f"{setting.key}.")}
        inside = {name: _property(settings[key], settings) for key, name in keys.items() if "." not in name}
        return {"description": setting.text, **_object(inside)}
    rules = f" Values: {'; '.join(setting.rules)}." if setting.rules else ""
    schema = _type(setting.kind)
    of_number = schema["items"] if schema.get("type") == "array" else schema
    if of_number.get("type") in ("integer", "number"):
        of_number |= _bounds(setting.rules)
    return {**schema, "description": setting.text + rules, "default": as_plain(setting.default)}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties)}


def _type(kind: Any) -> dict[str, Any]:
    """Return the schema of a type; `{}` holds for any value."""
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": [*parts]}
    if origin in (Union, UnionType):
        return {"anyOf": [_type(each) for each in parts if each is not NoneType]}
    if origin in (tuple, list):
        return {"type": "array", "items": _type(parts[0])}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _type(parts[1])}
    return {}


def _bounds(rules: Iterable[str]) -> dict[str, float]:
    """Return the bounds that rules name.

    >>> _bounds(["in (0, 1]"]), _bounds(["0 (all) or more"]), _bounds(["name each once"])
    ({'exclusiveMinimum': 0, 'maximum': 1}, {'minimum': 0}, {})
    """
    bounds: dict[str, float] = {}
    for rule in rules:
        for pattern, names in _BOUNDS:
            if found := re.search(pattern, rule):
                numbers = map(_number, found.groups())
                bounds |= dict(zip(names, numbers, strict=True))
                break
    return bounds


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)

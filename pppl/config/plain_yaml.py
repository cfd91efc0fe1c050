"""Plain values from YAML: text, numbers, true, false, null, lists, and mappings with text as keys.

Scalars follow YAML 1.2: `no` and `2020-01-01` are text, and `1e-3` is a number. Keys of mappings are always text. A
value that programs read differently, such as `1:30` or `010`, is an error.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..system.errors import UserError

# More than any experiment needs, but few enough to limit the time and memory that nested aliases can take.
_MOST_BYTES, _MOST_VALUES, _DEEPEST = 200_000, 50_000, 60
_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "int": (r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+", "-+0123456789"),
    # Versions of YAML differ on whether these are octal numbers or times of day.
    "unclear": (r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "merge": ("<<", "<"),
}


class _Loader(yaml.SafeLoader):
    """A parser of YAML into nodes. `_Values` turns nodes into values."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's way to declare it)


class _Dumper(yaml.SafeDumper):
    """A writer that quotes text which YAML 1.1 or 1.2 would read as another type."""


for _name, (_pattern, _first) in _SCALARS.items():
    for _either in (_Loader, _Dumper):
        _either.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), list(_first))


def as_yaml(tree: Mapping[str, Any], *, flow: bool = True) -> str:
    """Return plain values as YAML that `read_yaml` reads back.

    **Arguments:**

    - `flow`: whether to write everything on one line.

    >>> as_yaml({"seeds": (0, 1), "name": "no"})
    "{seeds: [0, 1], name: 'no'}"
    """
    plain = json.loads(json.dumps(dict(tree)))  # turns tuples into lists, and NumPy's floats into floats
    text = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, default_flow_style=flow, width=float("inf"))
    return text.strip() if flow else text


def read_yaml_file(path: Path) -> Any:
    """Return the value of a YAML file in UTF-8, or in UTF-16 with a byte order mark.

    Raise `UserError` if the file cannot be read, or for the reasons that `read_yaml` gives.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: the name holds a NUL character
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path}: {reason}; name an experiment's YAML file") from error
    try:
        return read_yaml(content)
    except UserError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error


def read_yaml(text: str | bytes) -> Any:
    """Return the value of a YAML text.

    Raise `UserError`, with the line, if the text is not valid YAML, repeats a key, has a tag, is too long, is nested
    too deeply or within itself, or holds a value that programs read differently.

    >>> read_yaml("budgets: [1e-1, 0.5]")
    {'budgets': [0.1, 0.5]}
    """
    if len(text) > _MOST_BYTES:
        raise UserError(f"it holds more than {_MOST_BYTES:,} bytes: name the file of an experiment")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else _Values().of(node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        told = ", ".join(part for part in (error.problem, error.context) if part)
        raise UserError(f"{where}{' '.join(told.split())}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise UserError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise UserError(f"it is nested more than {_DEEPEST} levels deep: write fewer levels") from error


class _Values:
    """A builder of values from nodes. It counts them, since a few nested aliases can stand for very many values."""

    def __init__(self) -> None:
        self.count = 0

    def of(self, node: Any, path: tuple[str, ...]) -> Any:
        """Return the value of a node. `path` holds the keys that lead to it."""
        self.count += 1
        if self.count > _MOST_VALUES:
            raise UserError(
                f"it holds more than {_MOST_VALUES:,} values, counting each use of an alias: use fewer aliases"
            )
        if len(path) > _DEEPEST:
            raise UserError(
                f"{_line(node)}: it is nested more than {_DEEPEST} levels deep, or within itself: write fewer levels"
            )
        kind = node.tag.removeprefix(_TAG)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.of(each, (*path, str(at))) for at, each in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.ScalarNode) and kind in (*_SCALARS, "str"):
            return _scalar(kind, node)
        tag = f"!!{kind}" if node.tag.startswith(_TAG) else node.tag
        raise UserError(f"{_line(node)}: the tag {tag} is not supported: write text, a number, a list or a mapping")

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, each in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"{_line(key)}: a key is a list or a mapping: write text before the colon")
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                told = ".".join((*path, name))
                raise UserError(f"{told} is given twice, in lines {lines[name]} and {line}: keep one of them")
            lines[name] = line
            if key.tag == f"{_TAG}merge":
                merged = self._merged(each, path)
            else:
                own[name] = self.of(each, (*path, name))
        return {**merged, **own}

    def _merged(self, node: Any, path: tuple[str, ...]) -> dict[str, Any]:
        """Return the mapping that `<<` merges in. If several mappings have a key, the first one gives its value."""
        value = self.of(node, (*path, "<<"))
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise UserError(f"{_line(node)}: << is {value!r}: give it a mapping or a list of mappings")
        return {name: each for part in reversed(parts) for name, each in part.items()}


def _scalar(kind: str, node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    try:
        if kind == "null":
            return None
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind == "int":
            return int(text.replace("_", ""), 0)
        if kind == "float":
            return _float(text.replace("_", "").lower())
    except (ValueError, KeyError) as error:  # the text has an explicit tag, or thousands of digits
        raise UserError(
            f"{_line(node)}: {text[:40]!r} is not of type {kind}: correct it, or leave the tag out"
        ) from error
    if kind == "unclear":
        raise UserError(
            f"{_line(node)}: programs read {text} as different numbers: write a plain number, or text as {text!r}"
        )
    return text


def _float(text: str) -> float:
    value = float(re.sub(r"\.(inf|nan)$", r"\1", text))
    if math.isinf(value) and "inf" not in text:
        raise ValueError("too large")
    return value


def _line(node: Any) -> str:
    return f"line {node.start_mark.line + 1}"

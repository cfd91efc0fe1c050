"""Plain values from YAML: text, numbers, true, false, null, lists and mappings from names, and nothing else.

Scalars are YAML 1.2's, so that `no` is a word, `2020-01-01` and `1:30` are no numbers of seconds, and `1e-3` is a
number. Names of mappings are text however they look. What programs read differently is refused.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..system.errors import UserError

# More than any experiment has, and little enough that no file takes long, or much memory by aliases of aliases.
_MOST_BYTES, _MOST_VALUES, _DEEPEST = 200_000, 50_000, 60
_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "int": (r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+", "-+0123456789"),
    # Octal or not, a time of day or not: versions of YAML differ.
    "unclear": (r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "merge": ("<<", "<"),
}


class _Loader(yaml.SafeLoader):
    """Parses; values are made by `_Values`."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's way to declare it)


class _Dumper(yaml.SafeDumper):
    """Puts text into quotes that either version of YAML takes for something else."""


for _name, (_pattern, _first) in _SCALARS.items():
    for _either in (_Loader, _Dumper):
        _either.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), list(_first))


def as_yaml(tree: Mapping[str, Any], *, flow: bool = True) -> str:
    """Return plain values as YAML that `read_yaml` gives back, on one line where it is `flow`."""
    plain = json.loads(json.dumps(dict(tree)))  # tuples and numpy's numbers are none
    text = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, default_flow_style=flow, width=float("inf"))
    return text.strip() if flow else text


def read_yaml_file(path: Path) -> Any:
    """Return the value of a YAML file in UTF-8, or in UTF-16 with its mark.

    Raises `UserError` where it cannot be read, or as `read_yaml` does.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path}: {reason}; name an experiment's YAML file") from error
    try:
        return read_yaml(content)
    except UserError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error


def read_yaml(text: str | bytes) -> Any:
    """Return the value of a text.

    Raises `UserError`, with the line, for what is no YAML, holds a name twice, is tagged, too long, nested too deeply
    or within itself, or means different things to different programs.
    """
    if len(text) > _MOST_BYTES:
        raise UserError(f"it holds more than {_MOST_BYTES:,} bytes: name an experiment's file")
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
        raise UserError(f"it is nested more than {_DEEPEST} deep") from error


class _Values:
    """Makes values of nodes; counts them, since few aliases can stand for very many."""

    def __init__(self) -> None:
        self.count = 0

    def of(self, node: Any, path: tuple[str, ...]) -> Any:
        """Return a node's value; `path` are the names that lead to it."""
        self.count += 1
        if self.count > _MOST_VALUES:
            raise UserError(f"it holds more than {_MOST_VALUES:,} values, aliases written out")
        if len(path) > _DEEPEST:
            raise UserError(f"{_line(node)}: it is nested more than {_DEEPEST} deep, or within itself")
        kind = node.tag.removeprefix(_TAG)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.of(each, (*path, str(at))) for at, each in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.ScalarNode) and kind in (*_SCALARS, "str"):
            return _scalar(kind, node)
        tag = f"!!{kind}" if node.tag.startswith(_TAG) else node.tag
        raise UserError(f"{_line(node)}: the tag {tag} is not read: write text, a number, a list or a mapping")

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, each in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"{_line(key)}: a name is a list or a mapping: write text before the colon")
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                told = ".".join((*path, name))
                raise UserError(f"{told} stands twice, in lines {lines[name]} and {line}: make one of them")
            lines[name] = line
            if key.tag == f"{_TAG}merge":
                merged = self._merged(each, path)
            else:
                own[name] = self.of(each, (*path, name))
        return {**merged, **own}

    def _merged(self, node: Any, path: tuple[str, ...]) -> dict[str, Any]:
        """Return what `<<` brings in: of several mappings the first that has a name tells its value."""
        value = self.of(node, (*path, "<<"))
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise UserError(f"{_line(node)}: << is {value!r}: it takes a mapping, or a list of these")
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
    except (ValueError, KeyError) as error:  # of an explicit tag, or with thousands of digits
        raise UserError(f"{_line(node)}: {text[:40]!r} is no {kind}") from error
    if kind == "unclear":
        raise UserError(
            f"{_line(node)}: {text} is another number to other programs: write it plainly, or as text, {text!r}"
        )
    return text


def _float(text: str) -> float:
    value = float(re.sub(r"\.(inf|nan)$", r"\1", text))
    if math.isinf(value) and "inf" not in text:
        raise ValueError("too large")
    return value


def _line(node: Any) -> str:
    return f"line {node.start_mark.line + 1}"

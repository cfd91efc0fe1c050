"""What the settings of an experiment mean, read from their dataclasses: types, defaults, rules and prose."""

import ast
import dataclasses
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .tree import Tree

_BULLET = re.compile(r"^- ((?:`[\w.]+`(?:, | or )?)+): (.*)$")
_NAMED = re.compile(r"`([\w.]+)`")
_PLAIN = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Any: "any value"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Described:
    """One key of an experiment's file.

    - `key`: dotted, as on the command line.
    - `kind`: its type: a plain type, a generic alias or, of a section, a dataclass.
    - `default`: its value if it is left out.
    - `text`: what it means; empty if its dataclass does not say so.
    - `rules`: what values must satisfy, in the words of the error that refuses others.
    """

    key: str
    kind: Any
    default: Any
    text: str
    rules: tuple[str, ...]

    @property
    def is_section(self) -> bool:
        """Whether the key has further keys below it."""
        return dataclasses.is_dataclass(self.kind)

    @property
    def type_name(self) -> str:
        """The type in words.

        >>> Described(key="a", kind=tuple[int, ...], default=(), text="", rules=()).type_name
        'a list, each a whole number'
        """
        return "a section" if self.is_section else _in_words(self.kind)

    @property
    def default_text(self) -> str:
        """The default as a file would write it.

        >>> Described(key="a", kind=tuple[int, ...], default=(1, 2), text="", rules=()).default_text
        '[1, 2]'
        """
        return json.dumps(list(self.default) if isinstance(self.default, tuple) else self.default)


def describe(kind: type[Tree]) -> dict[str, Described]:
    """Return all settings of a kind of experiment by dotted key, sections before their keys.

    >>> from pppl import Experiment
    >>> describe(Experiment)["training.averaging"].rules
    ('in [0, 1)',)
    """
    return {each.key: each for each in _settings(kind, kind.section_kinds(), "")}


def _settings(kind: type, sections: Mapping[str, type], prefix: str) -> Iterator[Described]:
    texts, rules = _texts(kind), _rules(kind)
    hints, usual = get_type_hints(kind), kind()
    for field in dataclasses.fields(kind):
        if field.name == "sections" and sections:
            for name, section in sections.items():
                yield from _section(f"{prefix}{name}", section)
            continue
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _section(f"{prefix}{field.name}", hints[field.name])
            continue
        yield Described(
            key=f"{prefix}{field.name}",
            kind=hints[field.name],
            default=getattr(usual, field.name),
            text=texts.get(field.name, ""),
            rules=tuple(rules.get(field.name, ())),
        )


def _section(key: str, kind: Any) -> Iterator[Described]:
    first = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0]
    yield Described(key=key, kind=kind, default=kind(), text=" ".join(first.split()), rules=())
    yield from _settings(kind, {}, f"{key}.")


def _texts(kind: type) -> dict[str, str]:
    """Return what the list in a docstring says of each field."""
    texts: dict[str, str] = {}
    names: Sequence[str] = ()
    for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
        if found := _BULLET.match(line):
            names = _NAMED.findall(found[1])
            texts |= dict.fromkeys(names, found[2])
        elif line.startswith("  ") and names:
            texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
        else:
            names = ()
    return texts


def _rules(kind: type) -> dict[str, list[str]]:
    """Return what `require` demands of each field: what follows `KEY is VALUE: ` in the message of its error."""
    check = kind.__dict__.get("__post_init__")
    if check is None:
        return {}
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(check))).body
    assert isinstance(function, ast.FunctionDef)
    rules: dict[str, list[str]] = {}
    for node, loop in _calls(function.body, {}):
        for text in _template(node.args[1], loop):
            found = re.match(r"^(?:[\w.]*\.)?(\w+) (?:is|holds) \{\}: (.+)$", text)
            if found and "{}" not in found[2]:
                rules.setdefault(found[1], []).append(found[2])
    return rules


def _calls(body: Sequence[ast.stmt], loop: dict[str, list[str]]) -> Iterator[tuple[ast.Call, dict[str, list[str]]]]:
    """Yield the calls of `require` with the names that the loop around each goes through."""
    for statement in body:
        inside = dict(loop)
        if isinstance(statement, ast.For) and isinstance(statement.target, ast.Name):
            values = statement.iter.elts if isinstance(statement.iter, ast.Tuple) else []
            inside[statement.target.id] = [str(v.value) for v in values if isinstance(v, ast.Constant)]
        if isinstance(statement, (ast.For, ast.If)):
            yield from _calls([*statement.body, *statement.orelse], inside)
        match statement:
            case ast.Expr(value=ast.Call(func=ast.Name(id="require"), args=[_, _]) as call):
                yield call, inside


def _template(message: ast.expr, loop: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a message with `{}` for its values, once for each name of the loop that it holds."""
    if isinstance(message, ast.Constant):
        return [str(message.value)]
    texts = [""]
    for part in message.values if isinstance(message, ast.JoinedStr) else []:
        if isinstance(part, ast.Constant):
            pieces = [str(part.value)]
        else:
            name = part.value.id if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name) else ""
            pieces = [*loop.get(name, ())] or ["{}"]
        texts = [text + piece for text in texts for piece in pieces]
    return texts


def _in_words(kind: Any) -> str:
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(str(each) for each in parts)
    if origin in (Union, UnionType):
        return " or ".join(_in_words(each) for each in parts if each is not NoneType)
    if origin in (tuple, list):
        return f"a list, each {_in_words(parts[0])}"
    if origin is dict or origin is Mapping:
        return "a section with keys that you choose"
    return str(kind)

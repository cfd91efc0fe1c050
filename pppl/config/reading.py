"""Settings from plain values, with errors that name the key."""

import copy
import dataclasses
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast

from ..system.errors import UserError, unknown
from .older import current_names

Sections = tuple[tuple[str, type], ...]


class Readable(Protocol):
    """Settings that can be read: a frozen dataclass, whose field `sections` holds more dataclasses by name, if any."""

    @classmethod
    def prepare(cls, tree: Mapping[str, Any]) -> None:
        """Do what must come before the values in `tree` can be understood."""

    @classmethod
    def section_kinds(cls) -> Mapping[str, type]:
        """Return the dataclasses in `sections`."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values, sections by their names."""
        ...


Kind = TypeVar("Kind", bound=Readable)
_SECTIONS = "sections"

# What was read last. A comparison makes the same few experiments for every part of its work, 50 ms each.
_READ: OrderedDict[tuple[type, Sections, str], Any] = OrderedDict()
_MOST_READ = 1000


def all_keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every key of a nested mapping, dotted."""
    for key, value in tree.items():
        yield prefix + key
        if isinstance(value, Mapping):
            yield from all_keys(value, f"{prefix}{key}.")


def as_plain(value: Any) -> Any:
    """Return settings as plain dictionaries and lists, as `run.json` and YAML hold them."""
    value = dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
    if isinstance(value, Mapping):
        return {key: as_plain(item) for key, item in value.items()}
    return [as_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _check_keys(given: Mapping[str, Any], valid: Mapping[str, Any], prefix: str = "") -> None:
    for key, value in given.items():
        name = f"{prefix}{key}"
        if key not in valid:
            raise unknown("key", name, [prefix + other for other in valid])
        if value is None:
            raise UserError(f"{name} is empty: give it a value or leave the key out")
        if isinstance(valid[key], Mapping):
            if not isinstance(value, Mapping):
                keys = ", ".join(valid[key]) or "of your choice"
                raise UserError(f"{name} is {value!r}: it is a section with the keys {keys}")
            if valid[key]:  # a section that is empty by default takes any key
                _check_keys(value, valid[key], f"{name}.")


def from_dict(tree: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """Return settings of some kind from nested plain values, such as a YAML file's.

    What is left out has its default. Names of earlier versions are read as today's.

    Raise `UserError`, naming the key, if one is unknown, of the wrong type or out of range.
    """
    tree = current_names(tree)
    kind.prepare(tree)
    sections = tuple(kind.section_kinds().items())
    key = kind, sections, repr(tree)  # not JSON, in which 1 and "1" may be the same key
    if key not in _READ:
        _READ[key] = _from_dict(tree, kind, sections)
        if len(_READ) > _MOST_READ:
            _READ.popitem(last=False)
    return cast(Kind, _READ[key])


@lru_cache(maxsize=8)
def _parser(kind: type, sections: Sections) -> Any:
    import jsonargparse

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, skip={_SECTIONS})
    for name, section in sections:
        parser.add_class_arguments(section, name)
    return parser


def _from_dict(tree: Mapping[str, Any], kind: type[Kind], sections: Sections) -> Kind:
    _check_keys(tree, kind().to_dict())
    parser = _parser(kind, sections)
    try:
        parsed = parser.instantiate(parser.parse_object(copy.deepcopy(dict(tree))))  # which changes what it is given
        values = vars(parsed)
        own = {_SECTIONS: {name: values.pop(name) for name, _ in sections}} if sections else {}
        return cast(Kind, _as_given(kind(**values, **own), tree))
    except UserError:
        raise
    except Exception as error:  # jsonargparse raises several kinds, with the key in the first line
        raise UserError(_readable(str(error))) from error


def _as_given(read: Any, given: Mapping[str, Any], prefix: str = "") -> Any:
    """Return what was read, a dataclass, with sections of any values as they were given.

    jsonargparse takes text in them for YAML, so that "1.0" would become a number.
    """
    changes = {}
    for field in dataclasses.fields(read):
        name = field.name
        if name in given and dataclasses.is_dataclass(getattr(read, name)):
            changes[name] = _as_given(getattr(read, name), given[name], f"{prefix}{name}.")
        elif name in given and "typing.Any" in str(field.type):
            changes[name] = _plain(given[name], prefix + name)
    return dataclasses.replace(read, **changes) if changes else read


def _plain(value: Any, name: str) -> Any:
    """Return a copy of plain values. Raises `UserError` for a name or a value that is no such one."""
    if isinstance(value, Mapping):
        wrong = next((key for key in value if not isinstance(key, str)), None)
        if wrong is not None:
            raise UserError(f"{name} holds the name {wrong!r}: names are text, write {str(wrong)!r}")
        return {key: _plain(each, f"{name}.{key}") for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, name) for each in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UserError(f"{name} holds {value!r}, a {type(value).__name__}: give text, numbers, lists or mappings")


def _readable(message: str) -> str:
    """Jsonargparse's message as one line: `training.epochs: expected int, got 'x'`."""
    line = " ".join(message.split())
    found = re.fullmatch(r'Parser key "(?P<key>[^"]+)": Expected a (?P<type>.+?)\. Got value: (?P<value>.*)', line)
    if found is None:
        return line
    kind = re.sub(r"<class '([^']+)'>", r"\1", found["type"]).replace("typing.Literal", "one of ")
    if kind == "tuple":
        return f"{found['key']}: expected a list, got {found['value']!r}: write [{found['value']}]"
    return f"{found['key']}: expected {kind}, got {found['value']!r}"

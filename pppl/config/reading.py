"""Settings from plain values, with errors that name the key."""

import copy
import dataclasses
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast, get_type_hints

from ..system.errors import UserError, unknown
from .older import current_names

Sections = tuple[tuple[str, type], ...]


class Readable(Protocol):
    """A frozen dataclass of settings. If it has a field `sections`, that holds further dataclasses by name."""

    @classmethod
    def prepare(cls, tree: Mapping[str, Any]) -> None:
        """Prepare for reading the values in `tree`, for example by loading plugins."""

    @classmethod
    def section_kinds(cls) -> Mapping[str, type]:
        """Return the dataclasses in `sections` by name."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values, with sections under their names."""
        ...


Kind = TypeVar("Kind", bound=Readable)
_SECTIONS = "sections"

# A cache of parsed settings. A comparison reads the same few experiments for every part of its work.
_CACHE: OrderedDict[tuple[type, Sections, str], Any] = OrderedDict()
_CACHE_SIZE = 1000


def all_keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield every key of a nested mapping in dotted form.

    >>> [*all_keys({"training": {"epochs": 5}})]
    ['training', 'training.epochs']
    """
    for key, value in tree.items():
        yield prefix + key
        if isinstance(value, Mapping):
            yield from all_keys(value, f"{prefix}{key}.")


def as_plain(value: Any) -> Any:
    """Return settings as plain dictionaries and lists, in the form of `run.json` and YAML."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
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
                keys = ", ".join(valid[key]) or "that you choose"
                raise UserError(f"{name} is {value!r}: it is a section with the keys {keys}")
            if valid[key]:  # a section that is empty by default takes any key
                _check_keys(value, valid[key], f"{name}.")


def from_dict(tree: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """Return settings of the given `kind` from nested plain values, such as those of a YAML file.

    Missing keys have their defaults. Names of earlier versions are translated to those of today.

    Raise `UserError`, which names the key, for an unknown key, a value of a wrong type, or a value out of its range.

    ```python
    from_dict({"training": {"epochs": 5}}, Experiment)
    ```
    """
    tree = current_names(tree)
    kind.prepare(tree)
    sections = tuple(kind.section_kinds().items())
    key = kind, sections, repr(tree)  # not JSON, in which 1 and "1" may be the same key
    if key not in _CACHE:
        _CACHE[key] = _from_dict(tree, kind, sections)
        if len(_CACHE) > _CACHE_SIZE:
            _CACHE.popitem(last=False)
    return cast(Kind, _CACHE[key])


@lru_cache(maxsize=256)
def _parser(kind: type, name: str, is_section: bool) -> Any:
    """Return a parser of one key: of a section with the fields of `kind`, or of one field of `kind`."""
    import jsonargparse

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    if is_section:
        parser.add_class_arguments(kind, name)
    else:
        others: set[str | int] = {field.name for field in dataclasses.fields(kind) if field.name != name}
        parser.add_class_arguments(kind, skip=others)
    return parser


class _Given:
    """The value of a key. Values are equal if they look alike, as JSON's 1 and "1" do not."""

    def __init__(self, value: Any):
        self.value, self._text = value, repr(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Given) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@lru_cache(maxsize=10 * _CACHE_SIZE)  # a change of settings leaves most keys as they are
def _parse(kind: type, name: str, is_section: bool, given: _Given) -> Any:
    """Return the value of a key as its type says."""
    parser = _parser(kind, name, is_section)
    # A copy, since the parser changes its argument.
    return vars(parser.instantiate(parser.parse_object({name: copy.deepcopy(given.value)})))[name]


def _from_dict(tree: Mapping[str, Any], kind: type[Kind], sections: Sections) -> Kind:
    _check_keys(tree, kind().to_dict())
    hints, own = get_type_hints(kind), dict(sections)
    try:
        values = {}
        for name, given in tree.items():
            part = own.get(name, hints.get(name))
            is_section = dataclasses.is_dataclass(part)
            values[name] = _parse(cast(type, part) if is_section else kind, name, is_section, _Given(given))
        if sections:
            values[_SECTIONS] = {name: values.pop(name) if name in values else section() for name, section in sections}
        return cast(Kind, _restore_given(kind(**values), tree))
    except UserError:
        raise
    except Exception as error:  # jsonargparse raises several kinds, with the key in the first line
        raise UserError(_one_line(str(error))) from error


def _restore_given(parsed: Any, given: Mapping[str, Any], prefix: str = "") -> Any:
    """Return the parsed dataclass with the given values in fields of any type.

    jsonargparse reads text in such fields as YAML, which would turn the text "1.0" into a number.
    """
    changes = {}
    for field in dataclasses.fields(parsed):
        name = field.name
        if name in given and dataclasses.is_dataclass(getattr(parsed, name)):
            changes[name] = _restore_given(getattr(parsed, name), given[name], f"{prefix}{name}.")
        elif name in given and "typing.Any" in str(field.type):
            changes[name] = _plain(given[name], prefix + name)
    return dataclasses.replace(parsed, **changes) if changes else parsed


def _plain(value: Any, name: str) -> Any:
    """Return a copy of plain values. Raise `UserError` for a key that is not text or a value that is not plain."""
    if isinstance(value, Mapping):
        wrong = next((key for key in value if not isinstance(key, str)), None)
        if wrong is not None:
            raise UserError(f"{name} holds the key {wrong!r}: keys are text, write {str(wrong)!r}")
        return {key: _plain(each, f"{name}.{key}") for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, name) for each in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UserError(f"{name} holds {value!r}, a {type(value).__name__}: give text, numbers, lists or mappings")


def _one_line(message: str) -> str:
    """Return the message of jsonargparse as one line, such as `training.epochs: expected int, got 'x'`."""
    line = " ".join(message.split())
    found = re.fullmatch(r'Parser key "(?P<key>[^"]+)": Expected a (?P<type>.+?)\. Got value: (?P<value>.*)', line)
    if found is None:
        return line
    kind = re.sub(r"<class '([^']+)'>", r"\1", found["type"]).replace("typing.Literal", "one of ")
    if kind == "tuple":
        return f"{found['key']}: expected a list, got {found['value']!r}: write [{found['value']}]"
    return f"{found['key']}: expected {kind}, got {found['value']!r}"

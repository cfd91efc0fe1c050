"""Sections of settings, each a frozen dataclass in the module of the method that reads it."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..system.plugins import load_plugins
from ..system.registries import Registry, place
from .tree import require

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Section(Generic[Settings]):
    """A section of an experiment's settings.

    - `kind`: its frozen dataclass. Every field has a default.
    - `trains_gates`: whether its settings control the training of gates. Only a method with gates of its own can then
      have its own values in this section.
    """

    kind: type[Settings]
    trains_gates: bool = False


SECTIONS: Registry[Section[Any]] = Registry("section of settings")


def register_settings(name: str, *, trains_gates: bool = False) -> Callable[[type[Settings]], type[Settings]]:
    """Return a decorator that adds a frozen dataclass to every experiment as the section `name`.

    ```python
    >>> @register_settings("shake")
    ... @dataclass(frozen=True, kw_only=True)
    ... class ShakeSettings:
    ...     strength: float = 1.0

    ```

    The decorator raises `UserError` if the class is not a frozen dataclass, or if a field has no default.
    """

    def add(kind: type[Settings]) -> type[Settings]:
        frozen = dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen  # pyright: ignore
        what = f"settings {name!r} ({place(kind)})"
        require(bool(frozen), f"{what} are no frozen dataclass: put @dataclass(frozen=True) above the class")
        for field in dataclasses.fields(kind):  # pyright: ignore[reportArgumentType]
            usual = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            require(usual, f"{what}: field {field.name} has no default: give it one")
        SECTIONS.add(name, Section(kind, trains_gates), made_by=kind)
        return kind

    return add


def name_of(kind: type[Any]) -> str:
    """Return the section name of a registered dataclass."""
    return next(name for name, section in SECTIONS.items() if section.kind is kind)


def all_sections() -> Mapping[str, Section[Any]]:
    """Return all sections by name, including those of installed plugins."""
    load_plugins(())
    return SECTIONS

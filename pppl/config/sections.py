"""Sections of settings, each a frozen dataclass beside the method that reads it."""

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
    """A part of an experiment's settings.

    - `kind`: its frozen dataclass; every field has a default.
    - `trains_gates`: whether gates are trained by it, so that a method can have settings of its own in it only where it
      has gates of its own.
    """

    kind: type[Settings]
    trains_gates: bool = False


SECTIONS: Registry[Section[Any]] = Registry("section of settings")


def register_settings(name: str, *, trains_gates: bool = False) -> Callable[[type[Settings]], type[Settings]]:
    """Return a decorator that makes a frozen dataclass the section `name` of every experiment.

    ```python
    >>> @register_settings("shake")
    ... @dataclass(frozen=True, kw_only=True)
    ... class ShakeSettings:
    ...     strength: float = 1.0

    ```

    Raise `UserError` if it is no frozen dataclass, or if a field has no default.
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
    """Return the name under which a dataclass was registered."""
    return next(name for name, section in SECTIONS.items() if section.kind is kind)


def all_sections() -> Mapping[str, Section[Any]]:
    """Return every section by name, those of installed plugins among them."""
    load_plugins(())
    return SECTIONS

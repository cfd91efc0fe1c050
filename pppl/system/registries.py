"""Names for things that anybody can add: this package, an installed one, a file, or a cell of a notebook."""

import functools
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import UserError, unknown

Entry = TypeVar("Entry")
# Every registry by what it holds, so that worker processes get what a notebook has added.
REGISTRIES: dict[str, "Registry[Any]"] = {}
_NAME = re.compile(r"[A-Za-z][\w-]*")  # `+`, `@` and `.` have meanings in an experiment


class Registry(Mapping[str, Entry], Generic[Entry]):
    """A mapping of names to things of one kind that is only added to.

    ```python
    >>> shapes = Registry("shape")
    >>> shapes.add("square", lambda side: side**2)
    >>> shapes["square"](3)
    9
    >>> shapes.find("squere")
    Traceback (most recent call last):
    pppl.system.errors.UserError: unknown shape 'squere': did you mean 'square'? known: square

    ```

    **Arguments:**

    - `kind`: what it holds, in the singular, for messages.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, Entry] = {}
        REGISTRIES[kind] = self

    def add(self, name: str, entry: Entry, *, made_by: object = None) -> None:
        """Add an entry. A definition that is run again, as an edited cell of a notebook is, replaces itself.

        **Arguments:**

        - `made_by`: the class or function that messages point at, if it is not the entry itself.

        Raise `UserError` if somebody else has the name, if it is none that an experiment can call for, or if a class
        lacks a method that it must have.
        """
        before, maker = self._entries.get(name), entry if made_by is None else made_by
        if before is not None and _origin(_MAKERS[self.kind, name]) != _origin(maker):
            there, here = place(_MAKERS[self.kind, name]), place(maker)
            raise UserError(f"{self.kind} {name!r} is registered twice, by {there} and by {here}: rename the second")
        if not _NAME.fullmatch(name):
            what = f"{self.kind} {name!r} ({place(maker)})"
            raise UserError(f"{what} cannot be called for: name it with letters, digits, _ and -, a letter first")
        self.check(name, maker)
        self._entries[name] = entry
        _MAKERS[self.kind, name] = maker

    def check(self, name: str, maker: object, base: type = object) -> None:
        """Raise `UserError` if a class is not derived from `base`, or lacks a method that it must have."""
        if inspect.isclass(maker) and not issubclass(maker, base):
            raise UserError(f"{self.kind} {name!r} ({place(maker)}) is no {base.__name__}: derive the class from it")
        lacking = sorted(getattr(maker, "__abstractmethods__", ())) if inspect.isclass(maker) else []
        if lacking:
            raise UserError(f"{self.kind} {name!r} ({place(maker)}) lacks {', '.join(lacking)}: define it")

    def find(self, name: str) -> Entry:
        """Return the entry of a name. Raise `UserError` with the nearest name if there is none."""
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries)
        return self._entries[name]

    def drop(self, module: str) -> None:
        """Forget what a module of that name has added, before it is run again."""
        for name in self.made_in(module):
            del self._entries[name], _MAKERS[self.kind, name]

    def made_in(self, module: str) -> dict[str, Entry]:
        """Return the entries that a module of that name has added."""
        own = {name for (kind, name), maker in _MAKERS.items() if kind == self.kind and module_of(maker) == module}
        return {name: entry for name, entry in self._entries.items() if name in own}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


# By kind and name, the class or function that messages point at.
_MAKERS: dict[tuple[str, str], object] = {}


def maker_of(kind: str, name: str) -> object:
    """Return the class or function that a registered thing was made by, such as that of the method `full`."""
    return _unwrapped(_MAKERS[kind, name])


def module_of(value: object) -> str:
    """Return the name of the module that a class, a function or an object's class is defined in."""
    value = _unwrapped(value)
    return str(getattr(value if callable(value) else type(value), "__module__", None) or "")


def place(value: object) -> str:
    """Return the file and line where something is defined; its module's name if that cannot be told."""
    value = _unwrapped(value)
    defined: Any = value if inspect.isclass(value) or inspect.isroutine(value) else type(value)
    try:
        return f"{Path(inspect.getsourcefile(defined) or '').name}, line {inspect.getsourcelines(defined)[1]}"
    except (OSError, TypeError):
        return f"{module_of(value)}.{getattr(defined, '__qualname__', type(value).__name__)}"


def _unwrapped(value: object) -> object:
    return _unwrapped(value.func) if isinstance(value, functools.partial) else value


def _origin(value: object) -> tuple[str, str]:
    """Return what is the same for a definition that is run again: its module and its name; all of a notebook's are."""
    value = _unwrapped(value)
    module = module_of(value)
    if module in ("__main__", "__mp_main__"):
        return "__main__", ""
    return module, str(getattr(value, "__qualname__", "") if callable(value) else "")

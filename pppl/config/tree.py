"""What all kinds of experiments are: a tree of frozen dataclasses with dotted keys."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..system.errors import UserError, unknown
from ..system.files import expanded_name


def require(condition: bool, message: str) -> None:
    """Raises `UserError` unless the condition holds."""
    if not condition:
        raise UserError(message)


def expand_paths(section: Any, *names: str) -> None:
    """Expand `~` in settings that may be paths: texts, lists of them, and mappings by them.

    Raises `UserError` where a path names a user that is not there.
    """
    for name in names:
        value = getattr(section, name)
        if isinstance(value, str):
            value = expanded_name(value)
        elif isinstance(value, Mapping):
            value = {expanded_name(key): item for key, item in value.items()}
        else:
            value = tuple(map(expanded_name, value))
        object.__setattr__(section, name, value)  # frozen, and not made yet


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A frozen dataclass whose fields are plain values and sections, dataclasses of their own."""

    name: str = "experiment"

    def check_lists(self, *names: str) -> None:
        """Raises `UserError` where a list is empty or names something twice, or a seed is impossible."""
        for key in names:
            values = getattr(self, key)
            require(len(values) > 0, f"{key} is empty: name at least one")
            require(len(set(values)) == len(values), f"{key} is {list(values)}: name each once")
        for seed in getattr(self, "seeds", ()):
            require(0 <= seed < 2**32, f"seeds holds {seed}: a seed is in [0, 2^32)")

    @classmethod
    def load(cls, path: str | Path, overrides: Mapping[str, Any] | None = None, *, fast: bool = False) -> Self:
        """Reads a YAML file, then applies dotted `overrides`.

        **Arguments:**

        - `fast`: whether to apply the file's section `fast` first, dotted keys for a quick look; the name then ends in
          `-fast`.

        Raises `UserError` where the file is missing, is no mapping, or holds an unknown or mistyped key.
        """
        from .reading import read

        return read(path, cls, overrides, fast=fast)

    def replace(self, **changes: Any) -> Self:
        """This one with dotted keys replaced: `replace(training__epochs=5, seeds=[0])`, two underscores for a dot, or
        `replace(**{"training.epochs": 5})`.

        Raises `UserError` for an unknown key, a value of the wrong type or one out of range.
        """
        from .reading import all_keys, from_dict

        tree, default = self.to_dict(), type(self)().to_dict()
        for key, value in changes.items():
            key = key.replace("__", ".")
            *path, last = key.split(".")
            node, usual = tree, default
            for part in path:
                node, usual = (each.get(part, None) if isinstance(each, dict) else None for each in (node, usual))
            # A section that is empty by default takes any key.
            if not isinstance(node, dict) or (usual != {} and last not in node):
                raise unknown("key", key, [*all_keys(tree)])
            node[last] = value
        return from_dict(tree, type(self))

    def overridden(self, changes: Mapping[str, Any]) -> Self:
        """As `replace`, for changes that hold for all parts of it: those of a command line, or of a file's `fast`."""
        return self.replace(**changes)

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain dictionaries and lists, as `run.json` and YAML hold it."""
        return _plain(dataclasses.asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value

"""What all kinds of experiments are: a tree of frozen dataclasses with dotted keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..system.errors import UserError, is_text, unknown
from ..system.files import expand, expand_name
from .plain_yaml import read_yaml_file
from .reading import all_keys, as_plain, from_dict


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
            value = expand_name(value)
        elif isinstance(value, Mapping):
            value = {expand_name(key): item for key, item in value.items()}
        else:
            value = tuple(map(expand_name, value))
        object.__setattr__(section, name, value)  # frozen, and not made yet


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A frozen dataclass whose fields are plain values and sections, dataclasses of their own."""

    name: str = "experiment"

    @classmethod
    def prepare(cls, tree: Mapping[str, Any]) -> None:
        """Do what must come before the values in `tree` can be understood: nothing, of most kinds."""

    @classmethod
    def section_kinds(cls) -> Mapping[str, type]:
        """Return the dataclasses of sections that are no fields, by name."""
        return {}

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
        path = expand(path)
        if not is_text(path.stem):
            raise UserError(f"the name of {str(path)!r} is no text (UTF-8), and names results: rename the file")
        tree = read_yaml_file(path)
        tree = {} if tree is None else tree
        if not isinstance(tree, dict):
            what = f"{path} holds a {type(tree).__name__}, not a mapping"
            raise UserError(f"{what}: write lines such as `budgets: [0.1]`")
        quick = tree.pop("fast", None)
        if quick is not None and not _is_flat(quick):
            raise UserError(f"{path}: fast is {quick!r}: it is a section of dotted keys, such as `training.epochs: 1`")
        if fast and not quick:
            raise UserError(f"{path} has no section `fast`: write one, or leave --fast out")
        try:
            experiment = from_dict({"name": path.stem, **tree}, cls)
            if fast and quick:
                experiment = experiment.override({"name": f"{experiment.name}-fast", **quick})
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        return experiment.override(overrides or {})

    def replace(self, **changes: Any) -> Self:
        """This one with dotted keys replaced: `replace(training__epochs=5, seeds=[0])`, two underscores for a dot, or
        `replace(**{"training.epochs": 5})`.

        Raises `UserError` for an unknown key, a value of the wrong type or one out of range.
        """
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

    def override(self, changes: Mapping[str, Any]) -> Self:
        """As `replace`, for changes that hold for all parts of it: those of a command line, or of a file's `fast`."""
        return self.replace(**changes)

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain dictionaries and lists, as `run.json` and YAML hold it."""
        return as_plain(self)


def _is_flat(section: object) -> bool:
    """Whether it is a mapping of text to values that are no sections."""
    return isinstance(section, dict) and all(
        isinstance(key, str) and not isinstance(value, dict) for key, value in section.items()
    )

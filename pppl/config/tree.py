"""`Tree`, the base of all kinds of experiments: nested frozen dataclasses with dotted keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ..system.errors import UserError, is_text, unknown
from ..system.files import expand, expand_name
from ..system.loggers import TrackingSettings
from ..system.plugins import load_plugins, split_place
from .plain_yaml import read_yaml_file
from .reading import all_keys, as_plain, from_dict


def require(condition: bool, message: str) -> None:
    """Raise `UserError` with the message unless the condition holds.

    >>> require(1 > 0, "power is 0: more than 0")
    """
    if not condition:
        raise UserError(message)


def expand_paths(section: Any, *names: str) -> None:
    """Expand `~` in settings that may hold paths: text, lists of text, and the keys of mappings.

    Raise `UserError` if a path names a user who does not exist.

    **Arguments:**

    - `section`: a frozen dataclass whose fields are replaced in place.
    - `names`: the names of the fields.
    """
    for name in names:
        value = getattr(section, name)
        if isinstance(value, str):
            value = expand_name(value)
        elif isinstance(value, Mapping):
            value = {expand_name(key): item for key, item in value.items()}
        else:
            value = tuple(map(expand_name, value))
        object.__setattr__(section, name, value)  # the dataclass is frozen


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A frozen dataclass. Each field is a plain value or a section, itself a dataclass."""

    name: str = "experiment"
    tracking: TrackingSettings = field(default_factory=TrackingSettings)

    @classmethod
    def prepare(cls, tree: Mapping[str, Any]) -> None:
        """Load the plugins that `tree` names. Raise `UserError` if one cannot be imported."""
        names = tree.get("plugins", ())
        load_plugins(names if isinstance(names, (list, tuple)) else ())  # any other value is refused as it is read

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how another process rebuilds the settings: from plain values, after loading plugins."""
        return from_dict, (self.to_dict(), type(self))

    @classmethod
    def section_kinds(cls) -> Mapping[str, type]:
        """Return the dataclasses of further sections, which are not fields, by name."""
        return {}

    def check_lists(self, *names: str) -> None:
        """Raise `UserError` if one of the named lists is empty or repeats a value, or if a seed is out of range."""
        for key in names:
            values = getattr(self, key)
            require(len(values) > 0, f"{key} is empty: name at least one")
            require(len(set(values)) == len(values), f"{key} is {list(values)}: name each once")
        for seed in getattr(self, "seeds", ()):
            require(0 <= seed < 2**32, f"seeds holds {seed}: a seed is in [0, 2^32)")

    @classmethod
    def load(cls, path: str | Path, overrides: Mapping[str, Any] | None = None, *, fast: bool = False) -> Self:
        """Return the settings in a YAML file with dotted `overrides` applied.

        **Arguments:**

        - `overrides`: values by dotted key.
        - `fast`: whether to apply the file's section `fast` first, which holds dotted keys for a quick look. The name
          then ends in `-fast`.

        Raise `UserError` if the file is missing, is not a mapping, or holds an unknown key or a value of a wrong type.

        ```python
        Experiment.load("sweeps/compare/digits.yaml", {"training.epochs": 5})
        ```
        """
        path = expand(path)
        if not is_text(path.stem):
            raise UserError(
                f"the name of {str(path)!r} is not UTF-8 text, but results are named after it: rename the file"
            )
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
            plugins = {"plugins": overrides["plugins"]} if overrides and "plugins" in overrides else {}
            experiment = from_dict({"name": path.stem, **tree, **_find_files(tree, [path.parent]), **plugins}, cls)
            if fast and quick:
                experiment = experiment.override({"name": f"{experiment.name}-fast", **quick})
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        return experiment.override(overrides or {})

    @classmethod
    def reopen(cls, tree: Mapping[str, Any], folder: Path) -> Self:
        """Return the settings of the `run.json` in a results folder.

        A path of code in them begins where the run was called. If it is not found from here, as in a notebook, it is
        looked for from the folders above the results. What lies in a results folder itself is never run.

        Raise `UserError` as `load` does.

        ```python
        Experiment.reopen(read_run(folder)["config"], folder)
        ```
        """
        return from_dict({**tree, **_find_files(tree, folder.resolve().parents)}, cls)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with dotted keys replaced.

        Two underscores stand for a dot: `replace(training__epochs=5, seeds=[0])` equals
        `replace(**{"training.epochs": 5, "seeds": [0]})`.

        Raise `UserError` for an unknown key, a value of a wrong type, or a value out of its range.
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
        """Return a copy with the changes of a command line or of a section `fast`, which hold for all parts."""
        return self.replace(**changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain dictionaries and lists, in the form of `run.json` and YAML."""
        return as_plain(self)


def _find_files(tree: Mapping[str, Any], folders: Sequence[Path]) -> dict[str, Any]:
    """Return the `plugins` and the `backbone` of a tree, with files that are not found here taken from `folders`."""

    def find(name: Any, *, of_class: bool = False) -> Any:
        place, attribute = split_place(str(name)) if of_class else (str(name), "")
        if not place.endswith(".py") or expand(place).exists():
            return name
        there = next((path for folder in folders if (path := folder / place).exists()), None)
        return name if there is None else str(there) + of_class * f":{attribute}"

    plugins, backbone = tree.get("plugins"), tree.get("backbone")
    found: dict[str, Any] = {"plugins": [find(name) for name in plugins]} if isinstance(plugins, list) else {}
    if isinstance(backbone, dict) and "name" in backbone:
        found["backbone"] = {**backbone, "name": find(backbone["name"], of_class=True)}
    return found


def _is_flat(section: object) -> bool:
    """Return whether a section maps text to values that are not mappings."""
    return isinstance(section, dict) and all(
        isinstance(key, str) and not isinstance(value, dict) for key, value in section.items()
    )

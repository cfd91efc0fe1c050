"""Reopening of settings whose plugins cannot be loaded here: everything else of them is there."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ..system.errors import UserError
from ..system.files import expand
from ..system.plugins import load_plugins
from .older import current_names
from .tree import Tree

Settings = TypeVar("Settings", bound=Tree)


def salvage(kind: type[Settings], tree: Mapping[str, Any], folder: Path) -> tuple[Settings, str]:
    """Return the settings of a `run.json` without what needs plugins that cannot be loaded, and why they cannot.

    The reason is empty if nothing is left out. Otherwise the list `plugins` lacks those files or modules, and sections
    of settings that nobody has registered are left out.

    ```python
    experiment, lost = salvage(Experiment, read_run(folder)["config"], folder)
    ```

    Raise `UserError` if the settings cannot be read for another reason.
    """
    tree = dict(current_names(tree))
    tree |= {"plugins": [_located(name, folder) for name in _plugins(tree)]} if _plugins(tree) else {}
    reasons = {name: reason for name in _plugins(tree) if (reason := _why_not(name))}
    kept = tree | {"plugins": [name for name in _plugins(tree) if name not in reasons]}
    kind.prepare(kept)
    known = kind().to_dict()
    gone = [key for key, value in kept.items() if key not in known and isinstance(value, Mapping)]
    settings = kind.reopen({key: value for key, value in kept.items() if key not in gone}, folder)
    if not reasons and gone:
        return settings, f"nothing here registers its settings {', '.join(gone)}: load what does, and open it again"
    return settings, "; ".join(f"its `plugins:` file {name} {reason}" for name, reason in reasons.items())


def _plugins(tree: Mapping[str, Any]) -> list[str]:
    plugins = tree.get("plugins")
    return [str(name) for name in plugins] if isinstance(plugins, list) else []


def _located(name: str, folder: Path) -> str:
    """Return a plugin's file, also if it lies in a folder above the results only, as `Tree.reopen` finds it."""
    if not name.endswith(".py") or expand(name).exists():
        return name
    return next((str(path) for each in folder.resolve().parents if (path := each / name).exists()), name)


def _why_not(name: str) -> str:
    """Return why a plugin cannot be loaded; empty if it can."""
    if name.endswith(".py") and not expand(name).exists():
        return "is missing: put it back, and open it again"
    try:
        load_plugins([name])
    except UserError as error:
        return f"cannot be loaded ({error}): mend it, and open it again"
    return ""


@contextmanager
def explaining(lost: str) -> Iterator[None]:
    """Add the reason that `salvage` has returned to any `UserError` raised while the context is open.

    >>> with explaining("its `plugins:` file mine.py is missing"):
    ...     raise UserError("unknown method 'mine'")
    Traceback (most recent call last):
    pppl.system.errors.UserError: unknown method 'mine'; its `plugins:` file mine.py is missing
    """
    try:
        yield
    except UserError as error:
        if not lost:
            raise
        what = re.split(": (?:did you mean|known:)", str(error))[0]  # no name that is known here is the one
        raise UserError(f"{what}; {lost}") from error

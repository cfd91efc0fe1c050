"""A results folder as its `run.json` describes it, with its settings in today's form."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..config import Experiment, Tree
from ..config.older import current_names
from ..personalizers import make_personalizers
from ..system.errors import UserError
from ..tables.provenance import read_run

Settings = TypeVar("Settings", bound=Tree)
# Sections that all rows of a comparison depend on.
_SHARED = {"data", "persons", "backbone", "training"}


@dataclass(frozen=True, kw_only=True)
class KeptResults:
    """A results folder and its `run.json`."""

    folder: Path
    run: Mapping[str, Any]

    @staticmethod
    def read(folder: Path) -> "KeptResults":
        """Return the results in a folder. Raise `UserError` if it has no `run.json` with settings."""
        run = read_run(folder)
        if not isinstance(run.get("config"), dict):
            raise UserError(
                f"{folder} has no run.json with the settings that made its results: run the experiment again"
            )
        return KeptResults(folder=folder, run=run)

    @property
    def config(self) -> dict[str, Any]:
        """Settings as they were read when the results were made."""
        return self.run["config"]

    @property
    def stamps(self) -> Mapping[str, Any]:
        """The stamps of the methods, by name; none in results of an early version."""
        stamps = self.run.get("fingerprints")
        return stamps if isinstance(stamps, dict) else {}

    def settings(self, config: Mapping[str, Any], kind: type[Settings]) -> Settings:
        """Return the settings in today's form; settings that are newer have their defaults.

        A setting that no longer exists is left out if no method of a comparison reads its section.

        Raise `UserError` if such a section is read, or if a value is no longer valid.
        """
        tree, gone = _split_settings(current_names(config), kind().to_dict())
        try:
            settings = kind.reopen(tree, self.folder)
        except UserError as error:
            raise UserError(f"its settings are of another version ({error}): {self._remedy}") from error
        read = [
            key for key in gone if not isinstance(settings, Experiment) or key.split(".")[0] in _sections_read(settings)
        ]
        if read:
            raise UserError(f"its setting {read[0]} is of another version: {self._remedy}")
        return settings

    @property
    def _remedy(self) -> str:
        """The remedy for settings of another version."""
        return f"check out {self.run.get('git_commit')}, which made them"


def _split_settings(
    tree: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that still exist, and the dotted keys of the others."""
    known: dict[str, Any] = {}
    gone: list[str] = []
    for key, value in tree.items():
        if key not in defaults:
            gone.append(prefix + key)
        elif isinstance(value, Mapping) and defaults[key]:  # a section that is empty by default accepts any key
            known[key], inside = _split_settings(value, defaults[key], f"{prefix}{key}.")
            gone += inside
        else:
            known[key] = value
    return known, gone


def _sections_read(experiment: Experiment) -> set[str]:
    """Return the sections that rows of an experiment depend on."""
    return _SHARED.union(*(each.depends_on() for each in make_personalizers(experiment)))

"""Names that settings had in earlier versions, as `run.json` and YAML files of these hold them."""

from collections.abc import Mapping
from typing import Any

# Today's name of a section, and today's names of its keys.
_SECTIONS = {"matched": ("person_training", {"sees": "gate_input"})}


def current_names(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by today's names, in nested sections and in dotted keys alike.

    >>> current_names({"matched": {"sees": "layers"}, "settings": {"ppp@a": {"matched.epochs": 3}}})
    {'person_training': {'gate_input': 'layers'}, 'settings': {'ppp@a': {'person_training.epochs': 3}}}
    """
    renamed: dict[str, Any] = {}
    for key, value in tree.items():
        section, keys = _SECTIONS.get(key, (_current_key(key), {}))
        value = current_names(value) if isinstance(value, Mapping) else value
        renamed[section] = {keys.get(name, name): each for name, each in value.items()} if keys else value
    return renamed


def _current_key(key: Any) -> Any:
    """Return a dotted key by today's names."""
    before, dot, name = key.partition(".") if isinstance(key, str) else ("", "", "")
    if not dot or before not in _SECTIONS:
        return key
    section, keys = _SECTIONS[before]
    return f"{section}.{keys.get(name, name)}"

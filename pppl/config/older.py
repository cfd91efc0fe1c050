"""Names of settings in earlier versions, as older `run.json` and YAML files hold them."""

from collections.abc import Mapping
from typing import Any

# For each earlier name of a section: its name today, and its renamed keys with their names today.
_SECTIONS = {"matched": ("person_training", {"sees": "gate_input"})}


def current_names(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with their names of today, in nested sections and in dotted keys alike.

    >>> current_names({"matched": {"sees": "layers"}, "settings": {"ppp@a": {"matched.epochs": 3}}})
    {'person_training': {'gate_input': 'layers'}, 'settings': {'ppp@a': {'person_training.epochs': 3}}}
    """
    renamed: dict[str, Any] = {}
    for key, value in tree.items():
        section, keys = _SECTIONS.get(key, (_current_key(key), {}))
        value = current_names(value) if isinstance(value, Mapping) else value
        renamed[section] = {keys.get(name, name): item for name, item in value.items()} if keys else value
    return renamed


def _current_key(key: Any) -> Any:
    """Return a dotted key with its names of today."""
    prefix, dot, name = key.partition(".") if isinstance(key, str) else ("", "", "")
    if not dot or prefix not in _SECTIONS:
        return key
    section, keys = _SECTIONS[prefix]
    return f"{section}.{keys.get(name, name)}"

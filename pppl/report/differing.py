"""Where two results folders differ: in settings, data, code, packages or hardware."""

from collections.abc import Iterator, Mapping
from typing import Any

from .folder import FolderTables
from .origin import without_secrets

_FACTS = {
    "dataset_sha256": "data (SHA-256)",
    "weights_sha256": "weights to start from (SHA-256)",
    "git_commit": "commit",
    "python": "Python",
    "workers": "processes",
}
# Settings that no row depends on.
_UNREAD = ("name", "looks", "questions", "searched", "reference", "tracking", "methods")
_LONGEST = 400  # characters of a value


def differences(one: FolderTables, two: FolderTables) -> list[tuple[str, str, str]]:
    """Return what differs, and its value in each folder; an empty value stands for a missing one.

    The order is data, code of rows, commit, hardware, packages, then settings by dotted key. Secrets are left out.

    ```python
    differences(read_results(Path("results/leads_fsdd")), read_results(Path("results/plain_fsdd")))
    ```
    """
    parts = [*_facts(one.run, two.run), *_stamps(one.run, two.run)]
    parts += _section("hardware", one.run, two.run) + _section("packages", one.run, two.run)
    settings = [dict(_leaves(without_secrets(_read_by_rows(each.config)))) for each in (one, two)]
    parts += [(key, *(each.get(key) for each in settings)) for key in dict.fromkeys([*settings[0], *settings[1]])]
    texts = ((name, _text(before), _text(after)) for name, before, after in parts)
    return [(name, before, after) for name, before, after in texts if before != after]


def _facts(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(title, one.get(name), two.get(name)) for name, title in _FACTS.items()]


def _stamps(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield which methods in both folders have rows of other code, or of other settings or data."""
    before, after = (_mapping(run, "fingerprints") for run in (one, two))
    for part, title in (("code", "code of rows"), ("settings", "settings and data of rows")):
        hashes = [
            {name: stamp[part] for name, stamp in each.items() if isinstance(stamp, Mapping) and part in stamp}
            for each in (before, after)
        ]
        other = [name for name in hashes[0] if name in hashes[1] and hashes[0][name] != hashes[1][name]]
        if other:
            yield f"{title}, of methods in both", "", f"differ for {', '.join(other)}"


def _section(name: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    before, after = (_mapping(run, name) for run in (one, two))
    return [(f"{name}: {key}", before.get(key), after.get(key)) for key in dict.fromkeys([*before, *after])]


def _mapping(run: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = run.get(name)
    return value if isinstance(value, dict) else {}


def _read_by_rows(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in _UNREAD}


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested settings by dotted key."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    text = "" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."

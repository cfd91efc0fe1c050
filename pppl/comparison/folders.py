"""Whether a results folder holds results of something else, which would be replaced."""

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..config import DataSettings
from ..data import SOURCES, IdentityDataset, limit, load_dataset
from ..system.errors import UserError
from ..tables.journal import TABLE
from ..tables.provenance import read_run
from ..tables.schema import existing, read_frame


def refuse_other_results(folder: Path, command: str, data: DataSettings, dataset: IdentityDataset) -> None:
    """Raise `UserError` where a folder holds results of another command, or on other data.

    Data are the same by their content, whatever they are called, and in part the same as whole. Features that are
    computed of recordings differ in their last bits between processors; of these the name decides.

    **Arguments:**

    - `command`: the verb that is about to write, such as `compare`.
    - `data`, `dataset`: what it has opened.
    """
    refuse_other_command(folder, command)
    run, name = _told(folder), _dataset_name(folder)
    known, before = run.get("dataset_sha256"), _data_of(run)
    source = SOURCES.get(data.name)
    if isinstance(known, str) and not (source and source.log_mel):
        if known in (dataset.sha256, _limited_sha256(data, before)):
            return
    elif name in ("", dataset.name):
        return
    if name not in ("", dataset.name):
        raise UserError(f"{folder} holds results on {name}, not on {dataset.name}: name another --out")
    raise UserError(f"{folder} holds results on other data (by SHA-256) than this {data.name}: name another --out")


def refuse_other_tasks(folder: Path, sha256: Mapping[str, str]) -> None:
    """Raise `UserError` where a folder holds results of another command, on other texts of one of these tasks, or on
    other tasks altogether.

    **Arguments:**

    - `sha256`: of each task, by name.
    """
    refuse_other_command(folder, "tasks")
    known = read_run(folder).get("dataset_sha256")
    if not isinstance(known, dict) or not known:
        return
    changed = [name for name in sha256 if known.get(name, sha256[name]) != sha256[name]]
    if changed:
        raise UserError(f"{folder} holds results on other texts of {changed[0]} (by SHA-256): name another --out")
    if not set(known.values()) & set(sha256.values()):
        raise UserError(f"{folder} holds results on {', '.join(known)}: name another --out for those on other tasks")


def refuse_other_command(folder: Path, command: str) -> None:
    """Raise `UserError` where a folder holds results that another command has made."""
    before = _command(folder, read_run(folder))
    if before not in ("", command):
        raise UserError(f"{folder} holds results of `pppl {before}`: name another --out for those of `pppl {command}`")


def _command(folder: Path, run: Mapping[str, Any]) -> str:
    config = run.get("config")
    if not isinstance(config, dict):
        return ""
    for key, command in (("space", "sweep"), ("tasks", "tasks")):
        if key in config:
            return command
    return "compare" if "fingerprints" in run or existing(folder / TABLE).exists() else "train"


def _told(folder: Path) -> dict[str, Any]:
    """What `run.json` says; of a training that was killed, what its first network's inputs do."""
    run = read_run(folder)
    return run or next((of for path in sorted((folder / "models").glob("inputs-*.json")) if (of := _of(path))), {})


def _of(path: Path) -> dict[str, Any]:
    tree = read_run(path.parent, path.name)
    return tree["of"] if isinstance(tree.get("of"), dict) else {}


def _data_of(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """The section `data` of the experiment, or of the one that trials of a sweep change."""
    for tree in (run.get("config"), run.get("experiment")):
        if isinstance(tree, dict) and isinstance(tree.get("data"), dict):
            return tree["data"]
    return {}


def _limited_sha256(data: DataSettings, before: Mapping[str, Any]) -> str:
    """Hash of today's data, as far as earlier results had taken them; empty where they had taken as much."""
    names = ("classes", "people", "samples")
    limits = {name: before.get(name, 0) for name in names}
    if limits == {name: getattr(data, name) for name in names}:
        return ""
    with suppress(UserError, TypeError):  # there is not so much of today's
        return limit(load_dataset(data.name), dataclasses.replace(data, **limits)).sha256
    return ""


def _dataset_name(folder: Path) -> str:
    with suppress(OSError, ValueError, KeyError, IndexError):  # no table, or none that can be read: made anew
        return str(read_frame(folder / TABLE, rows=1)["dataset"].iloc[0])
    return ""

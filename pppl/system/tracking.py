"""Weights & Biases runs. They are offline unless the user is logged in and the server answers.

A failure of W&B never stops an experiment.
"""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from .environment import without_variables
from .printable import cell_of, clip
from .progress import notice

__all__ = ["Tracker", "notice", "track"]
_LONGEST = 120  # W&B takes at most 128 characters of a name or a group
# Seconds that W&B has to answer at all, to begin a run, and to upload the rest of one.
_ANSWER, _BEGIN, _FINISH = 4.0, 30, 60
# Variables that would make every run here a part of one other run.
_RUN_VARIABLES = ("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_SWEEP_ID")
_gone = threading.Event()  # set when W&B has failed to answer: later runs are offline


class Tracker:
    """One W&B run. It reports its first failure and does nothing after that.

    ```python
    with track(folder, group="digits", name="ppp-0", job_type="train", config={"epochs": 5}) as tracker:
        tracker.log({"loss": 0.5}, step=0)
    ```
    """

    def __init__(self, run: Any):
        self._run = run

    def _try(self, action: Callable[[Any], Any]) -> None:
        if self._run is None:
            return
        try:
            action(self._run)
        except Exception as error:  # whatever W&B raises, the experiment goes on
            self._run = None
            notice(f"W&B failed ({_first_line(error)}); results are kept in the output folder, without it")

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each curve."""
        self._try(lambda run: run.log(dict(values), step=step))

    def part(self, name: str) -> "Tracker":
        """Return a tracker for one of several trainings in this run. Its curves have the prefix `name`."""
        return _Part(self, name)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Set the run's final values."""
        self._try(lambda run: run.summary.update(dict(values)))

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Log a data frame."""
        # By rows: given a frame, W&B looks up its column for each cell, which takes three times as long.
        mixed = [name for name in frame.columns if _is_mixed(frame[name].tolist())]
        frame = frame.assign(**{name: [*map(_cell_text, frame[name])] for name in mixed})
        columns, rows = [*frame.columns], [*frame.itertuples(index=False, name=None)]
        self._try(lambda run: run.log({name: _wandb().Table(columns=columns, data=rows)}))

    def image(self, name: str, path: Path) -> None:
        """Log a PNG file."""
        self._try(lambda run: run.log({name: _wandb().Image(str(path))}))

    def finish(self, exit_code: int) -> None:
        """Close the run. Any code but 0 marks it as failed."""
        self._try(lambda run: _finish(run, exit_code))


def _finish(run: Any, exit_code: int) -> None:
    try:
        run.finish(exit_code=exit_code)
    except TimeoutError:
        _gone.set()
        where = run.settings.sync_dir
        notice(f"W&B does not answer; later runs stay offline, and this one is kept: upload it with wandb sync {where}")


class _Part(Tracker):
    """One of several trainings in a run."""

    def __init__(self, whole: Tracker, name: str):
        self.whole, self.name = whole, name
        # Otherwise W&B draws all curves over the steps of the run, in which one training follows another.
        self._try(lambda run: run.define_metric(f"{name}/*", step_metric=f"{name}/epoch"))

    def _try(self, action: Callable[[Any], Any]) -> None:
        self.whole._try(action)

    def log(self, values: Mapping[str, float], step: int) -> None:
        named = {f"{self.name}/{key}": value for key, value in {"epoch": step, **values}.items()}
        self._try(lambda run: run.log(named))

    def summary(self, values: Mapping[str, Any]) -> None:
        super().summary({f"{self.name}/{key}": value for key, value in values.items()})

    def table(self, name: str, frame: pd.DataFrame) -> None:
        super().table(f"{self.name}/{name}", frame)

    def image(self, name: str, path: Path) -> None:
        super().image(f"{self.name}/{name}", path)

    def finish(self, exit_code: int) -> None:
        """Do nothing: only the whole run is closed."""


_WHOLE: ContextVar[Tracker | None] = ContextVar("whole", default=None)


@contextmanager
def track(
    folder: Path, *, group: str, name: str, job_type: str, config: Mapping[str, Any], whole_id: str = ""
) -> Iterator[Tracker]:
    """Open a W&B run until the block ends, and yield its tracker. The run's files are in `folder/wandb`.

    The project is `pppl` unless `WANDB_PROJECT` names another. The other variables of W&B are respected, such as
    `WANDB_MODE`, except those that name a run.

    **Arguments:**

    - `group`, `name`, `job_type`, `config`: the run's identity and settings, as in `wandb.init`.
    - `whole_id`: the ID of a run that may have begun in an earlier process and is continued. Runs that are opened
      inside the block are then parts of this one.
    """
    if (whole := _WHOLE.get()) is not None:
        yield whole.part(name)
        return
    named = {"group": clip(group, _LONGEST), "name": clip(name, _LONGEST)}
    identity = {**named, "job_type": job_type, "config": dict(config)}
    with _without_passwords(), without_variables(*_RUN_VARIABLES):
        run = _start(folder, **identity, **({"id": whole_id, "resume": "allow"} if whole_id else {}))
    tracker = Tracker(run)
    outside, exit_code = _WHOLE.set(tracker if whole_id else None), 1
    try:
        yield tracker
        exit_code = 0
    finally:
        _WHOLE.reset(outside)
        tracker.finish(exit_code)


@contextmanager
def _without_passwords() -> Iterator[None]:
    """Remove passwords in URLs from the command line until the block ends, since W&B keeps a copy of it."""
    before = sys.argv
    sys.argv = [re.sub(r"(://[^:/@]+):[^@]+@", r"\1@", word) for word in before]
    try:
        yield
    finally:
        sys.argv = before


def _start(folder: Path, **identity: Any) -> Any:
    try:
        wandb = _wandb()
        mode = _mode(wandb)
        if mode == "online":
            try:
                return _begin(wandb, folder, mode, identity)
            except Exception as error:  # a rejected key, or a lost network
                _gone.set()
                notice(f"W&B cannot be reached ({_first_line(error)}); runs are kept offline")
                mode = "offline"
        return _begin(wandb, folder, mode, identity)
    except Exception as error:  # W&B is missing or broken
        notice(f"W&B is not available ({_first_line(error)}); going on without it")
        return None


def _begin(wandb: Any, folder: Path, mode: str, identity: Mapping[str, Any]) -> Any:
    settings = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        symlink=False,  # the links `debug.log` and `latest-run` would replace files with these names
        x_disable_stats=True,
        init_timeout=_BEGIN,
        finish_timeout=_FINISH,
        finish_timeout_raises=True,
        quiet=True,
    )
    project = os.environ.get("WANDB_PROJECT", "pppl")
    return wandb.init(project=project, dir=folder, mode=mode, settings=settings, reinit="create_new", **identity)


def _mode(wandb: Any) -> str:
    """Return `WANDB_MODE`, by default online if somebody is logged in; return offline if W&B cannot be reached."""
    chosen = os.environ.get("WANDB_MODE") or ("online" if _logged_in(wandb) else "offline")
    if chosen != "online" or _gone.is_set():
        return "offline" if chosen == "online" else chosen
    url = wandb.setup().settings.base_url
    if not _answers(url):
        _gone.set()
        notice(f"{_without_secrets(url)} does not answer; W&B runs are kept offline")
        return "offline"
    return chosen


def _logged_in(wandb: Any) -> bool:
    """Return whether there is a key. W&B must be silent about it, since its message shows passwords in URLs."""
    settings = wandb.setup().settings
    before, settings.silent = settings.silent, True
    wandb.termsetup(settings, None)
    try:
        return wandb.login(prompt=False, verify=False)
    finally:
        settings.silent = before
        wandb.termsetup(settings, None)


@lru_cache(maxsize=4)
def _answers(url: str) -> bool:
    """Return whether a server answers within `_ANSWER` seconds. A thread limits the wait for a name server, too."""
    answered = threading.Event()

    def ask() -> None:
        import requests

        with suppress(requests.RequestException):
            requests.head(url, timeout=_ANSWER)
            answered.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_ANSWER)
    return answered.is_set()


def offline_runs(folder: Path) -> str:
    """Return one line on how to upload the offline runs in a results folder; empty if there are none."""
    kept = any(folder.glob("wandb/offline-run-*"))
    return f"Offline W&B runs: wandb sync {folder}/wandb/offline-run-*" if kept else ""


def _wandb() -> Any:
    import wandb

    return wandb


def _is_mixed(column: Sequence[Any]) -> bool:
    """Return whether a column has values of several types, which W&B refuses."""
    return len({str if isinstance(each, str) else type(each) for each in column if not _is_missing(each)}) > 1


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def _cell_text(value: Any) -> str | None:
    return None if _is_missing(value) else str(cell_of(value))


def _first_line(error: Exception) -> str:
    return _without_secrets((str(error).splitlines() or [type(error).__name__])[0])


def _without_secrets(text: str) -> str:
    key = os.environ.get("WANDB_API_KEY")
    return re.sub(r"://[^/@\s]+@", "://", text.replace(key, "...") if key else text)

"""Weights & Biases runs: offline unless the user is logged in and it answers, and never in the way of a result."""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from .environment import without_variables
from .printable import cell_of, clip
from .progress import notice

__all__ = ["Tracker", "notice", "track"]
_LONGEST = 120  # W&B takes no more than 128 characters of a name or a group
# Seconds that W&B has to answer at all, to begin a run, and to take the rest of one.
_ANSWER, _BEGIN, _FINISH = 4.0, 30, 60
# What makes one run of another program's; each of ours is one of its own.
_OF_ONE_RUN = ("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_SWEEP_ID")
_gone = threading.Event()  # set when W&B has failed to answer: later runs are offline


class Tracker:
    """One W&B run. After the first failure it says so once and does nothing more."""

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
        """Adds one point to each curve."""
        self._try(lambda run: run.log(dict(values), step=step))

    def part(self, name: str) -> "Tracker":
        """The same run for one of several trainings: each has curves of its own, over its own epochs."""
        return _Part(self, name)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Sets the run's final values."""
        self._try(lambda run: run.summary.update(dict(values)))

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Logs a data frame."""
        # By rows: of a frame W&B looks each column up again for each cell, which takes three times as long.
        mixed = [name for name in frame.columns if _is_mixed(frame[name].tolist())]
        frame = frame.assign(**{name: [*map(_told, frame[name])] for name in mixed})
        columns, rows = [*frame.columns], [*frame.itertuples(index=False, name=None)]
        self._try(lambda run: run.log({name: _wandb().Table(columns=columns, data=rows)}))

    def image(self, name: str, path: Path) -> None:
        """Logs a PNG file."""
        self._try(lambda run: run.log({name: _wandb().Image(str(path))}))

    def finish(self, exit_code: int) -> None:
        """Closes the run; any code but 0 marks it as failed."""
        self._try(lambda run: _finish(run, exit_code))


def _finish(run: Any, exit_code: int) -> None:
    try:
        run.finish(exit_code=exit_code)
    except TimeoutError:
        _gone.set()
        where = run.settings.sync_dir
        notice(f"W&B does not answer; the run is kept, and the next ones offline: wandb sync {where}")


class _Part(Tracker):
    def __init__(self, whole: Tracker, name: str):
        self.whole, self.name = whole, name
        # Else W&B draws all curves over the steps of the run, in which trainings follow on each other.
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
        """The whole ends, not a part."""


_WHOLE: ContextVar[Tracker | None] = ContextVar("whole", default=None)


@contextmanager
def track(
    folder: Path, *, group: str, name: str, job_type: str, config: Mapping[str, Any], whole_id: str = ""
) -> Iterator[Tracker]:
    """A W&B run in project `pppl` while the block lasts; its files lie in `folder/wandb`.

    `WANDB_MODE` and the other variables of W&B are respected.

    **Arguments:**

    - `whole_id`: the id of a run that may have begun in an earlier process, and goes on. What would have runs of its
      own inside the block is a part of this one.
    """
    if (whole := _WHOLE.get()) is not None:
        yield whole.part(name)
        return
    named = {"group": clip(group, _LONGEST), "name": clip(name, _LONGEST)}
    identity = {**named, "job_type": job_type, "config": dict(config)}
    with _without_passwords(), without_variables(*_OF_ONE_RUN):
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
    """Inside, the command line that W&B keeps a copy of has no password of a URL."""
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
            except Exception as error:  # a key that is not taken, or a network that has gone
                _gone.set()
                notice(f"W&B cannot be reached ({_first_line(error)}); runs are kept offline")
                mode = "offline"
        return _begin(wandb, folder, mode, identity)
    except Exception as error:  # W&B absent or broken
        notice(f"W&B is not available ({_first_line(error)}); going on without it")
        return None


def _begin(wandb: Any, folder: Path, mode: str, identity: Mapping[str, Any]) -> Any:
    settings = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        symlink=False,  # `debug.log` and `latest-run` would replace what is called so
        x_disable_stats=True,
        init_timeout=_BEGIN,
        finish_timeout=_FINISH,
        finish_timeout_raises=True,
        quiet=True,
    )
    project = os.environ.get("WANDB_PROJECT", "pppl")
    return wandb.init(project=project, dir=folder, mode=mode, settings=settings, reinit="create_new", **identity)


def _mode(wandb: Any) -> str:
    """`WANDB_MODE`, or else online where somebody is logged in; offline where that cannot be now."""
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
    """Whether there is a key, without a word, which would have the password of a server's URL."""
    settings = wandb.setup().settings
    before, settings.silent = settings.silent, True
    wandb.termsetup(settings, None)
    try:
        return wandb.login(prompt=False, verify=False)
    finally:
        settings.silent = before
        wandb.termsetup(settings, None)


@cache
def _answers(url: str) -> bool:
    """Whether a server says anything, soon; a name server that says nothing takes no longer."""
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
    """One line that says how the runs that are kept in a results folder are uploaded; empty without any."""
    kept = any(folder.glob("wandb/offline-run-*"))
    return f"Offline W&B runs: wandb sync {folder}/wandb/offline-run-*" if kept else ""


def _wandb() -> Any:
    import wandb

    return wandb


def _is_mixed(column: Sequence[Any]) -> bool:
    """Whether W&B, whose columns have one type, would refuse it."""
    return len({str if isinstance(each, str) else type(each) for each in column if not _is_missing(each)}) > 1


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def _told(value: Any) -> str | None:
    return None if _is_missing(value) else str(cell_of(value))


def _first_line(error: Exception) -> str:
    return _without_secrets((str(error).splitlines() or [type(error).__name__])[0])


def _without_secrets(text: str) -> str:
    key = os.environ.get("WANDB_API_KEY")
    return re.sub(r"://[^/@\s]+@", "://", text.replace(key, "...") if key else text)

"""Runs of Weights & Biases and of Lightning's loggers. Nothing leaves the machine unless the settings ask for it.

A failure of W&B or of a logger never stops an experiment.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pandas as pd

from .environment import without_variables
from .loggers import TrackingSettings, open_loggers
from .printable import cell_of, clip
from .progress import notice
from .wandb_mode import gone, mode_of, without_secrets

__all__ = ["Tracker", "notice", "track"]
_LONGEST = 120  # W&B takes at most 128 characters of a name or a group
# Seconds that W&B has to begin a run, and to upload the rest of one.
_BEGIN, _FINISH = 30, 60
# Variables that would make every run here a part of one other run.
_RUN_VARIABLES = ("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_SWEEP_ID")


class Tracker:
    """One run, of W&B and of other loggers. Each reports its first failure and does nothing after that.

    ```python
    with track(folder, group="digits", name="ppp-0", job_type="train", config={"epochs": 5}) as tracker:
        tracker.log({"loss": 0.5}, step=0)
    ```
    """

    def __init__(self, run: Any, loggers: Sequence[Any] = ()):
        self._run, self._loggers = run, [*loggers]

    def _tell(self, action: Callable[[Any], Any]) -> None:
        for logger in [*self._loggers]:
            try:
                action(logger)
            except Exception as error:  # whatever a logger raises, the experiment goes on
                self._loggers.remove(logger)
                notice(f"{type(logger).__name__} failed ({_first_line(error)}); going on without it")

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
        self._tell(lambda logger: logger.log_metrics(dict(values), step=step))

    def part(self, name: str) -> "Tracker":
        """Return a tracker for one of several trainings in this run. Its curves have the prefix `name`."""
        return _Part(self, name)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Set the run's final values."""
        self._try(lambda run: run.summary.update(dict(values)))
        numbers = {key: float(value) for key, value in values.items() if isinstance(value, (int, float))}
        self._tell(lambda logger: logger.log_metrics(numbers))

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
        self._tell(lambda logger: logger.finalize("failed" if exit_code else "success"))


def _finish(run: Any, exit_code: int) -> None:
    try:
        run.finish(exit_code=exit_code)
    except TimeoutError:
        gone.set()
        where = run.settings.sync_dir
        notice(f"W&B does not answer; later runs stay offline, and this one is kept: upload it with wandb sync {where}")


class _Part(Tracker):
    """One of several trainings in a run."""

    def __init__(self, whole: Tracker, name: str):
        super().__init__(None)
        self.whole, self.name = whole, name
        # Otherwise W&B draws all curves over the steps of the run, in which one training follows another.
        self._try(lambda run: run.define_metric(f"{name}/*", step_metric=f"{name}/epoch"))

    def _try(self, action: Callable[[Any], Any]) -> None:
        self.whole._try(action)

    def _tell(self, action: Callable[[Any], Any]) -> None:
        self.whole._tell(action)

    def log(self, values: Mapping[str, float], step: int) -> None:
        named = {f"{self.name}/{key}": value for key, value in {"epoch": step, **values}.items()}
        self._try(lambda run: run.log(named))
        self._tell(lambda logger: logger.log_metrics(named, step=step))

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
    folder: Path,
    settings: TrackingSettings | None = None,
    *,
    group: str,
    name: str,
    job_type: str,
    config: Mapping[str, Any],
    whole_id: str = "",
) -> Iterator[Tracker]:
    """Open a run until the block ends, and yield its tracker. The files of W&B are in `folder/wandb`.

    The project is `pppl` unless `WANDB_PROJECT` names another. The other variables of W&B are respected, such as
    `WANDB_MODE`, except those that name a run.

    Raise `UserError` if a logger's package is not installed.

    **Arguments:**

    - `settings`: the mode and the loggers; by default offline runs of W&B.
    - `group`, `name`, `job_type`, `config`: the run's identity and settings, as in `wandb.init`.
    - `whole_id`: the ID of a run that may have begun in an earlier process and is continued. Runs that are opened
      inside the block are then parts of this one.
    """
    if (whole := _WHOLE.get()) is not None:
        yield whole.part(name)
        return
    settings = settings or TrackingSettings()
    named = {"group": clip(group, _LONGEST), "name": clip(name, _LONGEST)}
    identity = {**named, "job_type": job_type, "config": dict(config)}
    loggers, run = open_loggers(settings.loggers, folder, group=group, name=name), None  # they may refuse
    if "wandb" in settings.loggers:
        with _without_passwords(), without_variables(*_RUN_VARIABLES):
            whole = {"id": whole_id, "resume": "allow"} if whole_id else {}
            run = _start(folder, settings.mode, **identity, **whole)
    tracker = Tracker(run, loggers)
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


def _start(folder: Path, wanted: str, **identity: Any) -> Any:
    try:
        wandb = _wandb()
        mode = mode_of(wandb, wanted)
        if mode == "online":
            try:
                return _begin(wandb, folder, mode, identity)
            except Exception as error:  # a rejected key, or a lost network
                gone.set()
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


def offline_runs(folder: Path) -> str:
    """Return one line on how many offline runs a results folder has, and how to upload them; empty if it has none.

    A run that was killed and began again has several folders, whose names end with the same id.
    """
    names = [path.name for path in folder.glob("wandb/offline-run-*")]
    runs = len({name.rpartition("-")[2] for name in names})
    parts = f" in {len(names)} folders, one for each time that one began or went on" * (len(names) > runs)
    return f"Offline W&B runs: {runs}{parts}: wandb sync {folder}/wandb/offline-run-*" if names else ""


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
    return without_secrets((str(error).splitlines() or [type(error).__name__])[0])

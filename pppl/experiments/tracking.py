"""Weights & Biases runs: offline unless the user is logged in, and never in the way of a result."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pandas as pd

from ..aligned import clipped
from ..progress import notice
from ..schema import cell_of

__all__ = ["Tracker", "notice", "track"]
_LONGEST = 120  # W&B takes no more than 128 characters of a name or a group


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
        self._try(lambda run: run.finish(exit_code=exit_code))


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
    named = {"group": clipped(group, _LONGEST), "name": clipped(name, _LONGEST)}
    identity = {**named, "job_type": job_type, "config": dict(config)}
    with _without_passwords():
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
        mode = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            x_disable_stats=True,
            init_timeout=30,
            finish_timeout=120,
            quiet=True,
        )
        project = os.environ.get("WANDB_PROJECT", "pppl")
        return wandb.init(project=project, dir=folder, mode=mode, settings=settings, reinit="create_new", **identity)  # type: ignore[arg-type]
    except Exception as error:  # W&B absent, broken or unreachable
        notice(f"W&B is not available ({_first_line(error)}); going on without it")
        return None


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
    return (str(error).splitlines() or [type(error).__name__])[0]

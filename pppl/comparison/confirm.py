"""After a refactoring: some rows of every method computed anew, and stamps renewed where they are what they were."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from ..config import Experiment
from ..system.errors import Differs, UserError
from ..system.processes import Workers
from ..system.tracking import notice
from ..tables.journal import COLUMNS, NUMBERS, TIMED, Journal, Row, key_of, round_numbers
from ..tables.provenance import Stamp, device_name, own_commit, read_run, staleness, update_run
from .execution import compute_missing
from .freshness import fingerprints
from .load import draw_groups, open_experiment
from .merge import FinishedResults
from .recipes import weights_sha256
from .task_confirming import confirm_tasks, restamp_tasks


def confirm(folder: str | Path, *, persons: int = 2, workers: int = 1) -> str:
    """Renew the stamps of a results folder, if every method still gives the rows that its table has.

    Compared are all methods, controls and budgets for some persons of the first seed, or the runs of the first task
    with the first seed: every number but seconds and memory, as it is written.

    **Arguments:**

    - `persons`: how many of each size, seen in training or not.

    **Returns:** one line that tells what was compared.

    Raises `Differs` where a number is another; then nothing is renewed. Raises `UserError` where settings or data are
    others than those of the table, which no refactoring changes, and for folders without rows that go stale.
    """
    folder = Path(folder)
    config = read_run(folder).get("config")
    if isinstance(config, dict) and "space" in config:
        raise UserError(f"{folder} is of a sweep, whose trials are history: there is no stamp to renew")
    if isinstance(config, dict) and "tasks" in config:
        return confirm_tasks(folder, workers)
    finished = FinishedResults.read(folder)
    experiment, current = _today(finished)
    if not any(staleness(finished.fingerprints.get(method), stamp) for method, stamp in current.items()):
        return f"{folder}: all stamps are of today's code"
    with tempfile.TemporaryDirectory() as scratch, _without_tracking():
        rows = _computed(experiment, Journal(Path(scratch), current), persons, workers)
    count = _refuse_others(finished, _as_written(finished, rows, experiment))
    restamp(folder)
    return f"{folder}: {count} rows of {len(current)} methods are what they were; stamps renewed"


def restamp(folder: str | Path) -> None:
    """Stamp the rows of a folder as of today's code, settings and data; `confirm` first finds out whether they are."""
    folder = Path(folder)
    if "tasks" in read_run(folder).get("config", {}):
        return restamp_tasks(folder)
    finished = FinishedResults.read(folder)
    _, current = _today(finished, told=False)
    stamps = {method: current[method] for method in finished.fingerprints if method in current}
    update_run(folder, fingerprints=stamps, confirmed_at=own_commit())


def _today(finished: FinishedResults, *, told: bool = True) -> tuple[Experiment, dict[str, Stamp]]:
    """The experiment and the stamps of today; where settings or data are others than then it raises, or says so."""
    experiment, dataset = open_experiment(finished.experiment)
    current = fingerprints(experiment, dataset)
    others = [
        f"its {what} is not that of today"
        for name, what, sha256 in (
            ("dataset_sha256", "data set", dataset.sha256),
            ("weights_sha256", "file of starting weights", weights_sha256(experiment)),
        )
        if finished.run.get(name, sha256) != sha256
    ]
    others += [
        f"rows of {method} are of settings that it has no more"
        for method, stamp in finished.fingerprints.items()
        if method not in current or staleness(stamp, current[method]) == "of other settings or data"
    ]
    if others and told:
        raise UserError(f"{finished.folder}: {others[0]}, which is no refactoring: `pppl compare` computes rows again")
    if others:
        notice(f"{finished.folder}: {others[0]}")
    return experiment, current


def _computed(experiment: Experiment, journal: Journal, persons: int, workers: int) -> list[Row]:
    """Rows of some persons of the first seed, evenly spread over each group."""
    units = []
    for group in draw_groups(experiment, experiment.seeds[0]):
        every = max(1, len(group.persons) // persons)
        units += group.units()[::every][:persons]
    with Workers(workers) as pool:
        compute_missing(units, total=len(units), journal=journal, pool=pool)
    journal.read()
    return [*journal.rows.values()]


def _as_written(finished: FinishedResults, rows: Sequence[Row], experiment: Experiment) -> list[tuple[Row, Row]]:
    """Rows of the table beside those that were computed anew."""
    known = {key_of(row): row for row in finished.rows}
    written = round_numbers(pd.DataFrame(rows, columns=list(COLUMNS))).to_dict("records")
    pairs = [(known[key_of(row)], row) for row in map(_plain, written) if key_of(row) in known]
    lacking = finished.fingerprints.keys() - {str(row["method"]) for row, _ in pairs}
    if lacking:
        raise UserError(f"{finished.folder} has no row of {min(lacking)} to compare with: `pppl compare` computes it")
    return pairs


def _plain(row: Mapping[Any, Any]) -> Row:
    return {str(name): value for name, value in row.items()}


def _refuse_others(finished: FinishedResults, pairs: Sequence[tuple[Row, Row]]) -> int:
    """Raises `Differs` for the first number that is another; returns how many rows were compared."""
    where = finished.run.get("networks_trained_on") or {"hardware that it does not tell": []}
    trained = f"its networks were trained on {' and '.join(where)}, this is {device_name()}"
    for name in ("score_full", *(name for name in NUMBERS if name not in (TIMED, "score_full"))):
        for before, now in pairs:
            if before.get(name, now[name]) != now[name]:  # a column may have come later
                what = " ".join(str(before[key]) for key in ("method", "control") if before[key])
                row = f"{what}, budget {before['budget']:g}, {before['persons']} {before['identity']}"
                told = f"{name} of {row}, seed {before['seed']}, is {now[name]!r} now, {before[name]!r} in the table"
                if name == "score_full":
                    told = f"the full network is another one here: {told}"
                raise Differs(f"{finished.folder}: {told} ({now[name] - before[name]:+g}); nothing renewed; {trained}")
    return len(pairs)


@contextmanager
def _without_tracking() -> Iterator[None]:
    """While open, what is trained here has no run in W&B."""
    before = os.environ.get("WANDB_MODE")
    os.environ["WANDB_MODE"] = "disabled"
    try:
        yield
    finally:
        del os.environ["WANDB_MODE"]
        if before is not None:
            os.environ["WANDB_MODE"] = before

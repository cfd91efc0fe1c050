"""Confirmation after a refactoring: stamps are renewed if sampled rows of every method are still the same."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from ..system.errors import Differs, UserError
from ..system.processes import Workers
from ..tables.journal import TABLE, Journal, Row, key_of, round_numbers
from ..tables.provenance import device_name, own_commit, update_run
from ..tables.schema import load_frame
from .kept_results import KeptResults
from .plan import Plan, stale_methods
from .result_kinds import KINDS, ComparisonKind, kind_of


def confirm(folder: str | Path, *, persons: int = 2, workers: int = 1, against: str | Path | None = None) -> str:
    """Renew the stamps of a results folder if every method still gives the rows that its table has.

    Settings come from its `run.json`, so they may have other names today. All methods, controls and budgets are
    computed again for some persons of the first seed, or for the runs of the first task with the first seed. Every
    number is compared as it is written, except seconds and memory.

    ```python
    confirm("results/digits", persons=2)
    ```

    **Arguments:**

    - `persons`: the number of persons in each group: of one size, seen in training or not.
    - `against`: other results with the same stamps, to compare with in place of the folder's own rows. The code of
      before computes them on this machine if the folder comes from other hardware. A few rows of each method suffice.

    **Returns:** one line that counts the rows and methods that were compared.

    Raise `Differs` if a number differs; then nothing is renewed. Raise `UserError` if data or starting weights have
    changed, if `against` has other stamps, and if the folder has no rows that can become stale.
    """
    folder = Path(folder)
    kept = KeptResults.read(folder)
    kind = kind_of(kept, KINDS)
    if not isinstance(kind, ComparisonKind):
        raise UserError(f"{folder} has no rows with stamps to renew: a sweep's trials are history")
    plan = kind.plan(kept, folder)
    before = kept.stamps
    _refuse_other_inputs(kept, plan, before)
    if not stale_methods(before, plan.stamps):
        return f"{folder}: all stamps are of today's code"
    reference = kept if against is None else _stand_in(Path(against), before)
    table = _records(load_frame(reference.folder / TABLE))
    with tempfile.TemporaryDirectory() as scratch, _without_tracking():
        fresh_plan = kind.plan(kept, Path(scratch))
        with Workers(workers) as pool:
            fresh_plan.compute(fresh_plan.sample(table, persons), pool)
        fresh_plan.read()
        rows = [*fresh_plan.journal.rows.values()]
    pairs = _pairs(plan, table, rows)
    _refuse_uncompared(reference, plan, before, pairs)
    _refuse_differences(reference, plan, pairs)
    update_run(folder, fingerprints={name: plan.stamps[name] for name in before}, confirmed_at=own_commit())
    own_table = table if reference is kept else _records(load_frame(folder / TABLE))
    for journal in plan.journals:
        _renew(journal, own_table)
    return f"{folder}: {len(pairs)} rows of {len(before)} methods are what they were; stamps renewed"


def _stand_in(folder: Path, before: Mapping[str, object]) -> KeptResults:
    """Return results that stand in for others with the stamps `before`. Raise `UserError` if theirs are others."""
    stand_in = KeptResults.read(folder)
    others = [method for method in before if stand_in.stamps.get(method) != before[method]]
    if others:
        raise UserError(
            f"{folder} has another stamp of {others[0]} than the results that it stands in for: compute it with the "
            "settings and the code that made them"
        )
    return stand_in


def _refuse_other_inputs(kept: KeptResults, plan: Plan[Any, Any], before: Mapping[str, object]) -> None:
    """Raise `UserError` if today's data, starting weights or methods are not those of the results."""
    unknown_methods = [method for method in before if method not in plan.stamps]
    inputs = (
        ("dataset_sha256", "data set", plan.data_sha256),
        ("weights_sha256", "file of starting weights", plan.weights_sha256),
    )
    changes = [f"its {what} is not that of today" for key, what, sha in inputs if kept.run.get(key, sha) != sha]
    changes += [f"rows of {method} are of settings that it no longer has" for method in unknown_methods]
    if changes:
        raise UserError(
            f"{kept.folder}: {changes[0]}, which is no refactoring: `pppl {plan.command}` computes rows again"
        )


def _records(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _pairs(plan: Plan[Any, Any], table: Sequence[Row], rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return pairs of a row of the table and the same row computed anew."""
    names = plan.journal.names
    table_rows = {key_of(row, names): row for row in table}
    written = _records(round_numbers(pd.DataFrame(rows, columns=[*names, *plan.measured])))
    return [(table_rows[key_of(row, names)], row) for row in written if key_of(row, names) in table_rows]


def _refuse_uncompared(
    reference: KeptResults, plan: Plan[Any, Any], methods: Mapping[str, object], pairs: Sequence[tuple[Row, Row]]
) -> None:
    """Raise `UserError` if a method has no row that was compared."""
    uncompared = methods.keys() - {str(row["method"]) for row, _ in pairs}
    if uncompared:
        raise UserError(
            f"{reference.folder} has no row of {min(uncompared)} to compare with: `pppl {plan.command}` computes it"
        )


def _refuse_differences(kept: KeptResults, plan: Plan[Any, Any], pairs: Sequence[tuple[Row, Row]]) -> None:
    """Raise `Differs` for the first number that differs."""
    devices = kept.run.get("networks_trained_on") or {"hardware that run.json does not name": []}
    trained = f"its networks were trained on {' and '.join(devices)}, this is {device_name()}"
    for name in plan.measured:
        for before, now in pairs:
            if not _alike(now[name], before.get(name, now[name])):  # an older table may lack the column
                difference_text = (
                    f"{name} of {plan.name_row(before)}, is {now[name]!r} now, {before[name]!r} in the table"
                )
                if name == "score_full":
                    difference_text = f"the full network is another one here: {difference_text}"
                difference = f"({now[name] - before[name]:+g})"
                raise Differs(f"{kept.folder}: {difference_text} {difference}; nothing renewed; {trained}")


def _alike(value: Any, written: Any) -> bool:
    """Return whether a value, rounded to 8 digits, is the one in the table; NaN equals NaN."""
    if isinstance(value, str) or isinstance(written, str):
        return value == written
    return bool(round(value, 8) == written or (pd.isna(value) and pd.isna(written)))


def _renew(journal: Journal, table: Sequence[Row]) -> None:
    """Append the rows that a journal and the table share once more, with today's stamps."""
    if not journal.path.exists():
        return
    table_rows = {key_of(row, journal.names): row for row in table}
    lines = journal.path.read_text(encoding="utf-8").splitlines()
    rows = {
        key_of(row, journal.names): row
        for line in lines
        if (row := _parse_row(line)) and _in_table(row, table_rows, journal)
    }
    if renewed := [row for key, row in rows.items() if key not in journal.rows]:
        journal.append(renewed)


def _parse_row(line: str) -> Row:
    """Return a line's row without its stamp; an empty row for a broken line."""
    try:
        row = json.loads(line)
        del row["fingerprint"]
    except (ValueError, KeyError, TypeError):
        return {}
    return row


def _in_table(row: Row, known: Mapping[tuple[Any, ...], Row], journal: Journal) -> bool:
    """Return whether the table has this row, with the same numbers."""
    if not {*journal.names} <= row.keys():
        return False
    written = known.get(key_of(row, journal.names), {})
    equal = [_alike(row[name], value) for name, value in written.items() if name in row and name not in journal.names]
    return bool(equal) and all(equal)


@contextmanager
def _without_tracking() -> Iterator[None]:
    """Disable W&B runs of training while the context is open."""
    before = os.environ.get("WANDB_MODE")
    os.environ["WANDB_MODE"] = "disabled"
    try:
        yield
    finally:
        del os.environ["WANDB_MODE"]
        if before is not None:
            os.environ["WANDB_MODE"] = before

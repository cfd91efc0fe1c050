"""What a method was trained on beyond the full network, in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .table import TableRow

_SERIES = ("persons", "seen", "method", "control")


def trained_on(rows: Sequence[TableRow], effort: Iterable[TableRow] = ()) -> str:
    """Return the samples and steps of a method's training: the person's, and those of training for everybody.

    A pass is one sample in one training step, so 25 samples have 2,000 passes in 80 steps. With `effort.csv`, the
    person's samples and steps are told apart.

    >>> row = {"persons": "person", "seen": True, "method": "finetune", "control": "", "retrain_samples": 2000.0}
    >>> trained_on([row]), trained_on([row], [row | {"samples": 25.0, "device_steps": 80.0}])
    ('2,000 passes', '25 samples, 80 steps')

    **Arguments:**

    - `rows`: rows of `summary.csv` with the same method and control; numbers are means over them.
    - `effort`: rows of `effort.csv`.
    """
    own, for_all = (_mean(rows, name) for name in ("retrain_samples", "train_samples"))
    known = {_series(row): row for row in effort}
    same = [known[_series(row)] for row in rows if _series(row) in known]
    parts: list[str] = []
    if own and same and (steps := _mean(same, "device_steps")):
        parts = [f"{_mean(same, 'samples'):,.0f} samples, {steps:,.0f} steps"]
    elif own:
        parts = [f"{own:,.0f} passes"]
    if for_all:
        parts.append(f"{for_all:,.0f} passes for all")
    return "; ".join(parts)


def _series(row: TableRow) -> tuple[str, ...]:
    return tuple(str(row.get(name, "")) for name in _SERIES)


def _mean(rows: Sequence[Mapping[Any, Any]], name: str) -> float:
    """Return the mean of a column; 0 for tables of earlier versions, which lack it."""
    values = [float(row.get(name, 0)) for row in rows]
    return sum(value for value in values if value == value) / len(values)

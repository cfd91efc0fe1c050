"""Rivals of a method: controls and free baselines that are measured on the same persons within the same budget."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .metric import metric_of
from .paired import paired_interval, scores_by

# The table of the best trial of a sweep, its controls and free baselines, in the form of `summary.csv`.
BASELINES = "baselines.csv"
# Controls get samples other than the person's own, or a random mask.
CONTROLS = ("population", "other", "twin", "swap", "random")
# Methods, without their steps, that give everybody the same channels.
_SHARED = ("full", "l1", "l2", "bn_scale", "fpgm", "lamp", "taylor", "hessian", "random", "basis")
_TRAINING_STEPS = ("finetune", "diff", "tent")
# Smaller differences are shown as 0.
_LEAST = 0.0005
_SERIES = ("method", "control", "budget")
TableRow = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A rival of a method, and its score less the method's on the same persons.

    - `row`: its row of `summary.csv`.
    - `difference`, `low`, `high`: the mean paired difference in score with its 95 % interval; NaN ends if unknown.
    """

    row: TableRow
    difference: float
    low: float = math.nan
    high: float = math.nan

    @property
    def beats(self) -> bool:
        """Whether it is better on average."""
        return metric_of(self.row).sign * self.difference >= _LEAST

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval of its lead excludes 0."""
        sign = metric_of(self.row).sign
        return min(sign * self.low, sign * self.high) > 0

    @property
    def is_level(self) -> bool:
        """Whether it is not better on average, but not told apart from the method either."""
        return not self.beats and (self.low <= 0 <= self.high or abs(self.difference) < _LEAST)


def chosen_by(method: str) -> str:
    """Return what chooses a method's channels: `gates`, `support` or `everybody`.

    >>> chosen_by("ppp@mine"), chosen_by("taylor_support"), chosen_by("l1_local")
    ('gates', 'support', 'everybody')
    """
    base = method.split("+")[0]
    if base.startswith(("ppp", "gated")):
        return "gates"
    return "support" if "_support" in base or base.startswith(("ocap", "capnn")) else "everybody"


def rivals(praised: TableRow, summary: Iterable[TableRow], rows: Iterable[TableRow] = ()) -> list[Rival]:
    """Return the controls and free baselines on the same persons at the same budget, the best first.

    A free baseline trains nothing on the person, and its channels do not depend on the person. It is the full network,
    static pruning, or gates that give everybody one mask, with or without class correction, batch statistics and
    retraining for everybody. What does not prune is a rival at every budget.

    ```python
    best = max(summary, key=lambda row: row["score"])
    [rival.row["method"] for rival in rivals(best, summary, rows) if rival.beats]
    ```

    **Arguments:**

    - `praised`: a row of `summary`.
    - `summary`: rows of `summary.csv` about the same group of persons.
    - `rows`: rows of `table.csv.gz` about them, for paired differences. Without these, only differences to the
      `reference` of `summary` are paired. Others are of means, and a rival measured on fewer persons is left out.
    """
    summary, scores = list(summary), scores_by(_SERIES, rows)
    own = _series(praised)
    candidates = [
        row
        for row in summary
        if _series(row) != own and row["budget"] in (praised["budget"], 1.0) and is_rival(row, summary)
    ]
    found = [rival for row in candidates if (rival := _against(row, praised, scores)) is not None]
    return sorted(found, key=lambda rival: -metric_of(rival.row).sign * rival.difference)


def is_rival(row: TableRow, summary: Sequence[TableRow]) -> bool:
    """Return whether a row is a control or a free baseline.

    >>> is_rival({"method": "l1", "control": ""}, []), is_rival({"method": "finetune", "control": ""}, [])
    (True, False)

    **Arguments:**

    - `summary`: all rows of these persons. Gates that have no control there give everybody one mask.
    """
    method, control = str(row["method"]), str(row["control"])
    if control in CONTROLS:
        return True
    if not row.get("retrain_samples", 0) <= 0 or any(_step(step) in _TRAINING_STEPS for step in method.split("+")[1:]):
        return False
    base = method.split("+")[0]
    if chosen_by(base) == "gates":
        controls = {str(each["control"]) for each in summary if str(each["method"]).split("+")[0] == base}
        return "own" in controls and not controls & {*CONTROLS}
    return _step(base).removesuffix("_local").removesuffix("_isomorphic") in _SHARED


def _step(stage: str) -> str:
    """Return a stage of a method without the name of its variant."""
    return stage.partition("@")[0]


def _series(row: TableRow) -> tuple[Any, ...]:
    return tuple(row[name] for name in _SERIES)


def _against(row: TableRow, praised: TableRow, scores: Mapping[Any, Mapping[Any, float]]) -> Rival | None:
    """Return a rival with its paired difference; None if they have no persons in common."""
    one, other = (scores.get(_series(each)) for each in (row, praised))
    if one is None or other is None:
        return _by_means(row, praised)
    differences = {key: one[key] - other[key] for key in one if key in other}
    if not differences:
        return None
    low, high = paired_interval(differences, metric_of(row))
    return Rival(row=row, difference=math.fsum(differences.values()) / len(differences), low=low, high=high)


def _by_means(row: TableRow, praised: TableRow) -> Rival | None:
    """Return a rival without rows of persons: by its difference to the reference if that is praised, else by means."""
    name = "reference_minus_this"
    is_reference = praised["method"] == row.get("reference") and str(praised["control"]) in ("", "own")
    if is_reference and row.get(name, math.nan) == row.get(name):
        low, high = -float(row[f"{name}_high"]), -float(row[f"{name}_low"])
        return Rival(row=row, difference=-float(row[name]), low=low, high=high)
    same = row.get("n") == praised.get("n")
    return Rival(row=row, difference=float(row["score"]) - float(praised["score"])) if same else None

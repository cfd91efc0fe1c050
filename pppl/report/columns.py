"""Columns of tables: their titles, their kinds, and the formats of their values."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """A column of a table.

    - `name`: in the file; `title`: in the report, with its unit.
    - `kind`: a key of `FORMATS`, or `text`.
    - `bar`: whether the value is drawn with its interval.
    """

    name: str
    title: str
    kind: str
    bar: bool = False


def is_missing(value: Any) -> bool:
    """Return whether a cell is empty: an empty text or NaN.

    >>> is_missing(math.nan), is_missing(0.0)
    (True, False)
    """
    return value == "" or (isinstance(value, float) and math.isnan(value))


def _kilobytes(value: float) -> str:
    return f"{value / 1000:,.1f}" if value < 1e4 else f"{value / 1000:,.0f}"


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(value: float) -> str:
    """Return a fraction in %, with one decimal and no negative zero.

    >>> percent(0.1234), percent(-0.0001)
    ('12.3', '0.0')
    """
    return f"{value * 100:.1f}".replace("-0.0", "0.0") if abs(value) < 0.0005 else f"{value * 100:.1f}"


# Formats of numbers by the kind of a column. Text is shown as it is.
FORMATS: dict[str, Callable[[float], str]] = {
    "percent": percent,
    "budget": lambda value: f"{value * 100:g}" if value < 1 else "none",
    "count": lambda value: f"{value:,.0f}",
    "kilobytes": _kilobytes,
    "p": _p_value,
    "number": lambda value: f"{value:.4g}",
}
_PERCENT = {
    "accuracy": "Accuracy (%)",
    "score": "Score (%)",
    "macs_fraction": "MACs (%)",
    "params_fraction": "Parameters (%)",
    "accuracy_full": "Full network (%)",
    "reference_minus_this": "Reference less this (points)",
    "minus_full": "Less full (points)",
    "minus_diff": "Less diff pruning (points)",
    "gain": "Gain (points)",
    "reference_gain_minus_this": "Reference's gain less this (points)",
    "own_minus_other": "Own less other (points)",
    "area": "Area (%)",
    "macs_within_1": "MACs within 1 point (%)",
    "macs_within_3": "MACs within 3 points (%)",
    "importance": "Importance (%)",
    "score_at_end": "Score at the end (%)",
}
_COUNTS = {
    "n": "n",
    "people": "People",
    "holm_tests": "Tests in the family",
    "retrain_samples": "Samples of the person trained on",
    "train_samples": "Samples trained on for all",
    "values": "Values",
    "budgets": "Budgets",
    "trials": "Trials",
    "samples": "Samples seen",
    "labels": "Labels",
    "device_steps": "Steps on the device",
    "settings_tried": "Settings tried",
    "peak_memory_mib": "Peak (MiB)",
    "seed": "Seed",
    "step": "Step",
    "trial": "Trial",
}
_KILOBYTES = {
    "artifact_bytes": "File (kB)",
    "task_bytes": "Task (kB)",
    "stored_bytes": "Stored (kB)",
    "copies_bytes": "Whole copies (kB)",
}
_NUMBERS = {"rate": "Rate", "seconds": "Seconds", "train_seconds": "Training (s)", "personalize_seconds": "Seconds"}
_TEXTS = {  # also if a name looks like a number
    "against": "Against",
    "backbone": "Backbone",
    "best": "Best",
    "chosen": "Chosen",
    "control": "Control",
    "dataset": "Data",
    "encoder": "Encoder",
    "feasible": "Constraints kept",
    "identity": "Person",
    "key": "Setting",
    "method": "Method",
    "metric": "Metric",
    "pareto": "On the front",
    "persons": "Persons",
    "seen": "Seen in training",
    "settings": "Settings",
    "state": "State",
    "task": "Task",
    "trained_for_all": "Trained for all",
}
_KINDS: Mapping[str, Mapping[str, str]] = {
    "percent": _PERCENT,
    "budget": {"budget": "Budget (%)"},
    "count": _COUNTS,
    "kilobytes": _KILOBYTES,
    "p": {"wilcoxon_p": "p", "holm_p": "p (Holm)"},
    "number": _NUMBERS,
    "text": _TEXTS,
}
_COLUMNS = {name: Column(name, title, kind) for kind, titles in _KINDS.items() for name, title in titles.items()}
_BARS = {"accuracy", "score", "gain", "area", "importance"}


def numeric(name: str) -> bool | None:
    """Return whether a column holds numbers; None if its name is unknown.

    >>> numeric("accuracy_low"), numeric("method"), numeric("ppp.learning_rate")
    (True, False, None)
    """
    for end in ("_low", "_high"):
        name = name.removesuffix(end)
    return _COLUMNS[name].kind != "text" if name in _COLUMNS else None


def column_of(name: str, names: Collection[str], *, numbers: bool) -> Column:
    """Return the description of a column.

    >>> column_of("gain", ["gain", "gain_low", "gain_high"], numbers=True)
    Column(name='gain', title='Gain (points)', kind='percent', bar=True)

    **Arguments:**

    - `names`: of all columns of its table.
    - `numbers`: whether all its values are numbers, which decides the kind of an unknown column.
    """
    known = _COLUMNS.get(name)
    if known is None:
        return Column(name, name if "." in name else name.replace("_", " "), "number" if numbers else "text")
    return Column(name, known.title, known.kind, bar=name in _BARS and f"{name}_low" in names)

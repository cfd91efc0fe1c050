"""What the columns of tables hold, and how their values are told."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """A column of a table.

    - `name`: in the file; `title`: in the report, with its unit.
    - `kind`: of `FORMATS`, how a value is told.
    - `bar`: drawn with its interval.
    """

    name: str
    title: str
    kind: str
    bar: bool = False


def is_missing(value: Any) -> bool:
    """Whether a cell is empty."""
    return value == "" or (isinstance(value, float) and math.isnan(value))


def _kilobytes(value: float) -> str:
    return f"{value / 1000:,.1f}" if value < 1e4 else f"{value / 1000:,.0f}"


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(value: float) -> str:
    """A fraction in %, with one decimal and no negative zero."""
    return f"{value * 100:.1f}".replace("-0.0", "0.0") if abs(value) < 0.0005 else f"{value * 100:.1f}"


# How numbers are told, by the kind of a column; what is no number is told as it is.
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
_TEXTS = {  # also of names that look like numbers
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
_OF = {name: Column(name, title, kind) for kind, titles in _KINDS.items() for name, title in titles.items()}
_BARS = {"accuracy", "score", "gain", "area", "importance"}


def numeric(name: str) -> bool | None:
    """Whether a column holds numbers; None where its name does not tell."""
    for end in ("_low", "_high"):
        name = name.removesuffix(end)
    return _OF[name].kind != "text" if name in _OF else None


def column_of(name: str, names: Collection[str], *, numbers: bool) -> Column:
    """What a column holds.

    **Arguments:**

    - `names`: of all columns of its table.
    - `numbers`: whether it holds nothing else, which tells of an unknown one what it is.
    """
    known = _OF.get(name)
    if known is None:
        return Column(name, name if "." in name else name.replace("_", " "), "number" if numbers else "text")
    return Column(name, known.title, known.kind, bar=name in _BARS and f"{name}_low" in names)

"""Families of series: rows of panels for a figure whose series do not fit one panel."""

from collections.abc import Sequence

import pandas as pd

from ..tables.rivals import chosen_by
from .accuracy_vs_macs import shown_series
from .looks import BUILT_IN, Looks
from .retraining import training_label

# More series than this in one panel hide each other.
_MOST_IN_A_PANEL = 13
_CHOSEN = {
    "gates": "channels chosen by gates",
    "support": "by the person's samples, nothing is trained",
    "everybody": "one network for everybody, nothing is trained",
}
_TRAINED = "trained after pruning, on the person or for all"
_WHOLE = "all MACs, adapted without training"


def families(summary: pd.DataFrame, looks: Looks = BUILT_IN) -> dict[str, list[tuple[str, str]]]:
    """Return the series of each row of panels, by title.

    Up to 13 series share one row, whose title is empty. Otherwise the full network and the own masks of
    PPP, or else of its first variant, stand in every row for comparison.
    """
    series = shown_series(summary, looks)
    if len(series) <= _MOST_IN_A_PANEL:
        return {"": series}
    trained = {(row["method"], row["control"]) for row in summary.to_dict("records") if training_label(row) > 0}
    of: dict[str, list[tuple[str, str]]] = {name: [] for name in (_WHOLE, *_CHOSEN.values(), _TRAINED)}
    always = _references(series)
    for key in series:
        if key not in always:
            of[_TRAINED if key in trained else _family_of(key[0])].append(key)
    parts: dict[str, list[tuple[str, str]]] = {}
    for name, keys in of.items():
        if not keys:
            continue
        count = -(-len(keys) // (_MOST_IN_A_PANEL - len(always)))
        step = -(-len(keys) // count)  # pieces of about equal size
        pieces = [keys[at : at + step] for at in range(0, len(keys), step)]
        for number, piece in enumerate(pieces, 1):
            title = f"{name} ({number} of {len(pieces)})" if len(pieces) > 1 else name
            parts[title] = [*always, *piece]
    return parts


def _references(series: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    own = [key for key in series if key[1] == "own" and key[0].partition("@")[0] == "ppp" and "+" not in key[0]]
    return [key for key in series if key == ("full", "")] + own[:1]


def _family_of(method: str) -> str:
    return _WHOLE if method.split("+")[0] == "full" else _CHOSEN[chosen_by(method)]

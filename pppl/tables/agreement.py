"""Whether numbers that were computed again agree with those that were kept, row by row."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

# Tables have 8 decimals; sums in another order differ in the last of them.
TOLERANCE = 1e-6
# Of each row: its name, both means with their 95 % intervals, and what is said of them.
COLUMNS = (
    *("row", "kept", "kept_low", "kept_high", "again", "again_low", "again_high"),
    *("missing", "equal", "within", "overlapping"),
)


def agreement(
    kept: pd.DataFrame, again: pd.DataFrame, *, keys: Sequence[str], value: str, ignored: Sequence[str] = ()
) -> pd.DataFrame:
    """One row for each of `kept`, in its order, with the columns `COLUMNS`.

    - `missing`: `again` has no such row; then nothing else holds of it.
    - `equal`: all numbers that both tables have are the same, but for `TOLERANCE`, relative above 1.
    - `within`: the mean computed again lies in the interval that was kept, ends included.
    - `overlapping`: both intervals have a number in common.

    **Arguments:**

    - `keys`: columns that name a row. `value`: that of the mean, beside `<value>_low` and `<value>_high`.
    - `ignored`: columns that differ between runs by nature.
    """
    varying = [key for key in keys if len({*map(str, kept[key])}) > 1] or list(keys)
    numbers = [
        name
        for name in kept.columns
        if name not in (*keys, *ignored) and name in again.columns and kept[name].dtype.kind in "biuf"
    ]
    of = {_key(row, keys): row for row in again.to_dict("records")}
    rows = []
    for row in kept.to_dict("records"):
        name = ", ".join(text for text in _key(row, varying) if text)
        rows.append({"row": name, **_compared(row, of.get(_key(row, keys)), value, numbers)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _key(row: Mapping[Any, Any], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple("" if pd.isna(row[key]) else str(row[key]) for key in keys)


def _compared(kept: Mapping[Any, Any], again: Mapping[Any, Any] | None, value: str, numbers: list[str]) -> dict:
    ends = {"": value, "_low": f"{value}_low", "_high": f"{value}_high"}
    row = {f"kept{end}": kept[name] for end, name in ends.items()} | {"missing": again is None}
    if again is None:
        return row | {"equal": False, "within": False, "overlapping": False}
    mine, others = ([each[name] for name in ends.values()] for each in (kept, again))
    (mean, low, high), (new, new_low, new_high) = mine, others
    diverged = bool(np.isnan(mean) and np.isnan(new))  # in both: no number, and no difference
    row |= {f"again{end}": again[name] for end, name in ends.items()}
    row["equal"] = bool(_same([kept[name] for name in numbers], [again[name] for name in numbers]))
    row["within"] = diverged or bool(low - TOLERANCE <= new <= high + TOLERANCE)
    row["overlapping"] = diverged or bool(new_low <= high + TOLERANCE and low <= new_high + TOLERANCE)
    return row


def _same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether numbers are the same but for `TOLERANCE`; none is the same as none."""
    first, second = np.asarray(one, float), np.asarray(other, float)
    return bool(np.allclose(first, second, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))

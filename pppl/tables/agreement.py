"""Agreement of recomputed results with the kept ones, row by row."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

# Tables have 8 decimals, and sums in another order differ in the last ones.
TOLERANCE = 1e-6
# The name of a row, both means with their 95 % intervals, and how they agree.
COLUMNS = (
    *("row", "kept", "kept_low", "kept_high", "again", "again_low", "again_high"),
    *("missing", "equal", "within", "overlapping"),
)


def agreement(
    kept: pd.DataFrame, again: pd.DataFrame, *, keys: Sequence[str], value: str, ignored: Sequence[str] = ()
) -> pd.DataFrame:
    """Compare each row of `kept` with the row of the same name in `again`; return `COLUMNS` in the order of `kept`.

    - `missing`: `again` has no such row. The three other columns are then false.
    - `equal`: all numbers that both tables have differ by at most `TOLERANCE`, absolute plus relative.
    - `within`: the recomputed mean lies in the kept interval, ends included.
    - `overlapping`: the two intervals overlap.

    A mean that is NaN in both tables is `within` and `overlapping`.

    **Arguments:**

    - `keys`: the columns that name a row.
    - `value`: the column of the mean. Its interval is in `<value>_low` and `<value>_high`.
    - `ignored`: columns that naturally differ between runs, such as times.

    >>> kept = pd.DataFrame({"method": ["full"], "score": [0.9], "score_low": [0.8], "score_high": [1.0]})
    >>> again = kept.assign(score=[0.85])
    >>> agreement(kept, again, keys=["method"], value="score")[["equal", "within"]].iloc[0].tolist()
    [False, True]
    """
    varying = [key for key in keys if len({*map(str, kept[key])}) > 1] or list(keys)
    numbers = [
        name
        for name in kept.columns
        if name not in (*keys, *ignored) and name in again.columns and kept[name].dtype.kind in "biuf"
    ]
    rows_again = {_key(row, keys): row for row in again.to_dict("records")}
    rows = []
    for row in kept.to_dict("records"):
        name = ", ".join(text for text in _key(row, varying) if text)
        rows.append({"row": name, **_compare(row, rows_again.get(_key(row, keys)), value, numbers)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _key(row: Mapping[Any, Any], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple("" if pd.isna(row[key]) else str(row[key]) for key in keys)


def _compare(kept: Mapping[Any, Any], again: Mapping[Any, Any] | None, value: str, numbers: list[str]) -> dict:
    ends = {"": value, "_low": f"{value}_low", "_high": f"{value}_high"}
    row = {f"kept{end}": kept[name] for end, name in ends.items()} | {"missing": again is None}
    if again is None:
        return row | {"equal": False, "within": False, "overlapping": False}
    (mean, low, high), (new, new_low, new_high) = ([row[name] for name in ends.values()] for row in (kept, again))
    diverged = bool(np.isnan(mean) and np.isnan(new))  # in both tables, so that there is no difference
    row |= {f"again{end}": again[name] for end, name in ends.items()}
    row["equal"] = bool(_same([kept[name] for name in numbers], [again[name] for name in numbers]))
    row["within"] = diverged or bool(low - TOLERANCE <= new <= high + TOLERANCE)
    row["overlapping"] = diverged or bool(new_low <= high + TOLERANCE and low <= new_high + TOLERANCE)
    return row


def _same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Return whether numbers differ by at most `TOLERANCE`. NaN equals NaN."""
    first, second = np.asarray(one, float), np.asarray(other, float)
    return bool(np.allclose(first, second, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))

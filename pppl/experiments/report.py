"""The summary as a table that a person can read in ten seconds."""

import pandas as pd

_SHOWN = 0.1


def as_text(summary: pd.DataFrame) -> str:
    """Accuracy in %, with its 95 % interval, of every method at one budget; a column per protocol.

    The budget is that nearest to 0.1; methods that do not prune stand above the line.
    """
    budgets = summary.loc[summary["budget"] < 1, "budget"]
    budget = min(budgets, key=lambda b: abs(b - _SHOWN)) if len(budgets) else 1.0
    at = summary[summary["budget"].isin([budget, 1.0])]
    first = at.drop_duplicates(["method", "control"])
    protocols = list(dict.fromkeys(at["persons"]))
    rows = [["method", "MACs", *[f"persons of {name}" for name in protocols], "retrained on"]]
    for row in first.sort_values("budget", ascending=False, kind="stable").to_dict("records"):
        same = at[(at["method"] == row["method"]) & (at["control"] == row["control"])]
        cells = [_cell(same[same["persons"] == name]) for name in protocols]
        label = f"{row['method']} {row['control']}".strip()
        samples = same["retrain_samples"].mean()
        retrained = f"{samples:,.0f} samples" if samples else "nothing"
        rows.append([label, f"{same['macs_fraction'].mean():.1%}", *cells, retrained])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    title = f"Accuracy in % [95 % interval] at a budget of {budget:g} of the full network's MACs"
    return "\n".join([title, "", lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _cell(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    row = rows.iloc[0]
    return f"{row['accuracy'] * 100:5.1f} [{row['accuracy_low'] * 100:.1f}, {row['accuracy_high'] * 100:.1f}]"

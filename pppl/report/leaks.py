"""Markdown of `leak.csv`: what masks tell of whose they are."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..system.errors import UserError
from ..system.files import expand
from ..tables.intervals import mean_interval
from ..tables.schema import load_frame
from .markdown import markdown_table

_LEAK = "leak.csv"
_HEAD = ("data", "masks", "budget", "tell", "right, %", "by chance or the classes, %", "among")


def leaks_of(folders: Sequence[str | Path], budget: float) -> str:
    """Return a table of what masks tell: how often a logistic regression names the person, or the classes.

    Intervals of 95 % are over seeds, which have a network each.

    ```python
    print(leaks_of(["results/leads_digits"], 0.1))
    ```

    **Arguments:**

    - `budget`: that masks were made for.

    Raise `UserError` if a folder has no `leak.csv`.
    """
    rows = [row for folder in folders for row in _rows(expand(folder), budget)]
    return markdown_table(_HEAD, rows)


def _rows(folder: Path, budget: float) -> list[list[str]]:
    if not (folder / _LEAK).exists():
        remedy = "run `pppl compare` with a method that has gates for a person at a time"
        raise UserError(f"{folder} has no {_LEAK}: {remedy}")
    data = str(load_frame(folder / "summary.csv")["dataset"].iloc[0]).replace("_", " ")
    frame = load_frame(folder / _LEAK)
    told = frame.loc[frame["budget"] == budget].groupby(["persons", "method", "tells"], sort=False)
    return [
        [f"{data}, {persons}", f"`{method}`", f"{budget:.0%}", str(tells), *_numbers(of)]
        for (persons, method, tells), of in told
    ]


def _numbers(of: pd.DataFrame) -> list[str]:
    """Return the rate of right answers with its interval, that by chance, and among how many."""
    seeds = of["seed"].astype(int).tolist()
    low, high = mean_interval(of["score"].to_numpy(float), seeds, [str(seed) for seed in seeds], limits=(0, 1))
    shown = f"{100 * of['score'].mean():.1f}"
    if len(set(seeds)) > 1:
        shown += f" [{100 * low:.1f}, {100 * high:.1f}]"
    among = sorted({int(each) for each in of["among"]})
    return [shown, f"{100 * of['chance'].mean():.1f}", " to ".join(map(str, dict.fromkeys([among[0], among[-1]])))]

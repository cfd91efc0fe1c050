"""Figure of several comparisons side by side, with the names that tables of them have."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ..figures.looks import Looks
from ..figures.overview import overview_figure
from ..tables.schema import load_frame
from .folder import told_apart
from .markdown import read_persons
from .practice import is_unseen, whom


def overview_of(folders: Sequence[str | Path], series: Sequence[tuple[str, str]]) -> Figure:
    """Return the figure of error against MACs, a panel for each kind of persons whom training has not seen.

    Titles are those of the columns of `accuracies_of`, names of methods those of its rows.

    ```python
    overview_of(["results/digits", "results/keywords"], [("full", ""), ("ppp@persons+classes", "own")])
    ```

    **Arguments:**

    - `series`: methods and controls, as `overview_figure` takes them.

    Raise `UserError` if a folder does not hold a comparison on persons.
    """
    read = told_apart([read_persons(folder) for folder in folders])
    panels: dict[str, pd.DataFrame] = {}
    for each in read:
        named = load_frame(each.folder / "summary.csv")
        named["title"] = [whom(row) if is_unseen(row) else "" for row in each.main.rows]
        panels |= {str(title): rows for title, rows in named.groupby("title", sort=False) if title}
    looks = {name: look for each in read for name, look in each.config.get("looks", {}).items()}
    return overview_figure(panels, series, looks=Looks.of(looks))

"""The tables of a comparison: `table.csv.gz` and the tables derived from it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ..config import Experiment
from ..system.files import remove
from .answers import ANSWERS, answers
from .journal import TABLE, write_table
from .summary import curves, gains, summarize

# A function that draws the figures of a results folder and returns the files that are also shown elsewhere, as in W&B.
# Callers pass it in, since this package must not depend on figures.
Draw = Callable[[Path], list[Path]]
# The files that `write_tables` writes, or removes as those of an earlier version.
TABLES = (TABLE, "table.csv", "summary.csv", "curves.csv", "gains.csv", ANSWERS)


def write_tables(folder: Path, table: pd.DataFrame, experiment: Experiment) -> pd.DataFrame:
    """Write `table.csv.gz` and the tables derived from it, and return `summary.csv`.

    Remove an earlier `answers.csv` if the experiment asks no questions.
    """
    tables = derive_tables(table, experiment)
    write_table(folder / TABLE, table)
    for name, frame in tables.items():
        write_table(folder / name, frame)
    if ANSWERS not in tables:
        remove(folder / ANSWERS)
    return tables["summary.csv"]


def derive_tables(table: pd.DataFrame, experiment: Experiment) -> dict[str, pd.DataFrame]:
    """Return the tables derived from the rows by file name. `answers.csv` is one if the experiment asks questions.

    ```python
    derive_tables(table, Experiment())["summary.csv"]
    ```
    """
    reference = experiment.reference
    tables = {"summary.csv": summarize(table, reference), "curves.csv": curves(table)}
    tables |= {"gains.csv": gains(table, reference)}
    return tables | ({ANSWERS: answers(table, experiment.questions)} if experiment.questions else {})


def draw_nothing(_: Path) -> list[Path]:
    """Draw no figures: the `Draw` function for callers who need tables alone."""
    return []

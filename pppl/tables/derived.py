"""The tables of a comparison: `table.csv`, and what follows from it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ..config import Experiment
from ..system.files import remove
from .answers import ANSWERS, answers
from .journal import write_table
from .summary import curves, gains, summarize

# What draws figures of a results folder and returns the files that are to be shown elsewhere, too. It is handed down
# from above: tables are made without knowing what is drawn of them.
Draw = Callable[[Path], list[Path]]
# What `write_tables` writes.
TABLES = ("table.csv", "summary.csv", "curves.csv", "gains.csv", ANSWERS)


def write_tables(folder: Path, table: pd.DataFrame, experiment: Experiment) -> pd.DataFrame:
    """Write `table.csv` and what follows from it, and return `summary.csv`."""
    tables = derive_tables(table, experiment)
    write_table(folder / "table.csv", table)
    for name, frame in tables.items():
        write_table(folder / name, frame)
    if ANSWERS not in tables:
        remove(folder / ANSWERS)
    return tables["summary.csv"]


def derive_tables(table: pd.DataFrame, experiment: Experiment) -> dict[str, pd.DataFrame]:
    """Return what follows from `table.csv`, by the name of the file; `answers.csv` where the experiment asks."""
    reference = experiment.reference
    tables = {"summary.csv": summarize(table, reference), "curves.csv": curves(table)}
    tables |= {"gains.csv": gains(table, reference)}
    return tables | ({ANSWERS: answers(table, experiment.questions)} if experiment.questions else {})


def draw_nothing(_: Path) -> list[Path]:
    """Draw no figure, for tables alone."""
    return []

"""A small results folder, of which tests change what they need."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from report_pages import RESULTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The persons of 2 classes of `results/digits` at two budgets, with one figure."""
    folder = tmp_path / "some results"
    (folder / "figures").mkdir(parents=True)
    for name in ("summary.csv", "table.csv.gz", "gains.csv", "curves.csv", "effort.csv", "tuned.csv"):
        frame = pd.read_csv(RESULTS / "digits" / name, keep_default_na=False, dtype=str)
        if "persons" in frame:
            frame = frame[frame["persons"] == "2 classes"]
        if "budget" in frame:
            frame = frame[frame["budget"].isin(["0.1", "0.35", "1.0"])]
        frame.to_csv(folder / name, index=False)
    shutil.copy(RESULTS / "digits" / "figures" / "gates.png", folder / "figures")
    shutil.copy(RESULTS / "digits" / "run.json", folder)
    return folder

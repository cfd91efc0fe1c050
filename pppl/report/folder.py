"""The content of a results folder, read and checked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ..figures.looks import Looks
from ..system.errors import UserError, unknown
from ..tables.journal import TABLE
from ..tables.metric import Metric, declare_metric
from ..tables.provenance import read_run
from ..tables.rivals import BASELINES
from ..tables.schema import existing, load_frame
from ..tables.summary import gains, summarize
from .table import EMPTY, Table, read_rows, rows_of

Kind = Literal["persons", "tasks", "sweep"]
# Tables beside the main one, in the order of the report.
_OTHER_TABLES = (
    "answers.csv",
    "gains.csv",
    "curves.csv",
    "effort.csv",
    "tuned.csv",
    "stream.csv",
    "importances.csv",
    BASELINES,
)
_OF_SUMMARY = ("score_full", "macs_fraction", "retrain_samples")
_NEEDED: dict[
    Kind, tuple[Sequence[str], Sequence[str]]
] = {  # columns of the main table: names, and numbers in every row
    "persons": (
        ("dataset", "backbone", "persons", "seen", "method", "control"),
        ("budget", "n", "people", "score", "score_low", "score_high", *_OF_SUMMARY),
    ),
    "tasks": (("task", "method", "metric"), ("score", "score_low", "score_high")),
    "sweep": (("state", "feasible", "best", "score", "own_minus_other", "macs_fraction", "seconds"), ("trial",)),
}
_OF_PERSONS = _NEEDED["persons"]
# The same for other tables that prose is made of.
_NEEDED_OF_OTHERS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "gains.csv": (
        ("dataset", "backbone", "persons", "seen", "method", "against"),
        ("budget", "gain", "gain_low", "gain_high"),
    ),
    "answers.csv": (
        ("dataset", "backbone", "persons", "seen", "question", "method", "against"),
        ("budget", "difference", "difference_low", "difference_high"),
    ),
    "importances.csv": (("key",), ("importance", "importance_low", "importance_high")),
    BASELINES: ((*_OF_PERSONS[0], "reference"), _OF_PERSONS[1]),
    "stream.csv": ((), ("step", "stored_bytes", "copies_bytes")),
}
_NEEDED_OF_ROWS = (
    ("dataset", "backbone", "persons", "seen", "method", "control", "identity"),
    ("budget", "seed", "score", "score_full"),
)


@dataclass(frozen=True)
class FolderTables:
    """The tables of a results folder.

    - `kind`: of experiment, which decides the columns of `main`.
    - `main`: `summary.csv`, or a sweep's `trials.csv`.
    - `tables`: others that are not empty, by file name.
    - `run`: the content of `run.json`.
    - `best`: the text of a sweep's `best.yaml`; empty if there is none.
    - `reference`: the method that `main` was made anew for; empty if `main` is as it was written.
    """

    folder: Path
    kind: Kind
    main: Table
    tables: dict[str, Table]
    run: dict[str, Any]
    best: str = ""
    reference: str = ""

    @cached_property
    def rows(self) -> Table:
        """The rows of `table.csv.gz` of a comparison on persons; none if it has no such file.

        Raise `UserError` if it is corrupted.
        """
        path = existing(self.folder / TABLE)  # it is large, and most readers need its means alone
        return read_rows(path, *_NEEDED_OF_ROWS, only=True) if self.kind == "persons" and path.exists() else EMPTY

    @property
    def config(self) -> dict[str, Any]:
        """Settings in `run.json`; empty if it has none."""
        config = self.run.get("config")
        return config if isinstance(config, dict) else {}

    @cached_property
    def looks(self) -> Looks:
        """How methods are called: as in figures."""
        return Looks.of_run(self.run)

    @property
    def metric(self) -> Metric:
        """The metric of the main table."""
        return self.main.metric

    @property
    def name(self) -> str:
        """Name of the experiment, else of the folder."""
        name = self.config.get("name")
        return name if isinstance(name, str) and name else self.folder.resolve().name


def told_apart(folders: Sequence[FolderTables]) -> list[FolderTables]:
    """Return results with the network beside the data set wherever several networks were compared on that data set."""
    pairs = {(row["dataset"], row["backbone"]) for each in folders for row in each.main.rows}
    networks = Counter(data for data, _ in pairs)

    def named(table: Table) -> Table:
        rows = [
            row | {"dataset": f"{row['dataset']}, {short_network(row['backbone'])}"}
            if networks[row.get("dataset", "")] > 1
            else row
            for row in table.rows
        ]
        return Table(table.names, rows)

    return [
        replace(each, main=named(each.main), tables={name: named(table) for name, table in each.tables.items()})
        for each in folders
    ]


def short_network(name: str) -> str:
    """Return a network's name without the library or the module that it comes from.

    >>> short_network("sweeps/compare/mobilenet.py:MobileNetV2"), short_network("resnet20")
    ('MobileNetV2', 'resnet20')
    """
    return name.rpartition(":")[2].rpartition("/")[2]


def read_results(folder: Path, reference: str = "") -> FolderTables:
    """Read the tables that a report shows.

    ```python
    read_results(Path("results/digits")).main.distinct("method")
    ```

    **Arguments:**

    - `reference`: the method that all others of a comparison on persons are compared with. `summary.csv` and
      `gains.csv` are then made anew from the rows of persons, in memory only. By default they are read as they are.

    Raise `UserError` if the main table is missing or has no rows, if one that is read here is corrupted, or if there
    are no rows of the reference.
    """
    run = read_run(folder)
    declare_metric(run)
    kind: Kind = "sweep" if (folder / "trials.csv").exists() else "persons"
    path = folder / ("trials.csv" if kind == "sweep" else "summary.csv")
    if kind == "persons" and "encoder" in read_rows(path).names:
        kind = "tasks"
    main = read_rows(path, *_NEEDED[kind])
    if not main.rows:
        raise UserError(f"{path} has no rows; run the experiment with the same --out again")
    tables = {
        name: read_rows(folder / name, *_NEEDED_OF_OTHERS.get(name, ()))
        for name in _OTHER_TABLES
        if (folder / name).exists()
    }
    best = folder / "best.yaml"
    text = best.read_text(encoding="utf-8", errors="replace") if kind == "sweep" and best.exists() else ""
    shown = {name: table for name, table in tables.items() if table.rows}
    results = FolderTables(folder, kind, main, shown, run, text)
    return with_reference(results, reference) if reference else results


def with_reference(results: FolderTables, reference: str) -> FolderTables:
    """Return results whose `summary.csv` and `gains.csv` compare all methods with another reference.

    Raise `UserError` if the results are of no comparison on persons, lack the rows of persons, or lack the method.
    """
    path = existing(results.folder / TABLE)
    if results.kind != "persons" or not path.exists():
        raise UserError(f"{results.folder} has no {TABLE}: --reference takes the rows of a comparison on persons")
    table = load_frame(path)
    methods = [*dict.fromkeys(table["method"])]
    if reference not in methods:
        raise unknown(f"reference in {results.folder}", reference, methods)
    main = rows_of(_as_written(summarize(table, reference)), path, *_NEEDED["persons"])
    gained = rows_of(_as_written(gains(table, reference)), path, *_NEEDED_OF_OTHERS["gains.csv"])
    tables = results.tables | ({"gains.csv": gained} if gained.rows else {})
    return replace(results, main=main, tables=tables, reference=reference)


def _as_written(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with the flags and texts that reading it from a file would give."""
    return frame.assign(seen=frame["seen"].map(str))

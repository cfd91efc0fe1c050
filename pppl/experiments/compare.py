"""Every method on the same persons, the same support and the same budgets: one row per person."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..backbones import build, spec_for
from ..config import Experiment
from ..data import IdentityDataset
from ..data.datamodule import check_augmentations
from ..errors import UserError
from ..figures import render
from ..files import output_folder
from ..personalizers import personalizers_for
from ..pruning import CostModel
from .computing import compute_missing
from .freshness import fingerprints
from .gatemap import GATES, gates_are_whole, write_gates
from .models import global_model, weights_sha256
from .opening import opened, persons_of
from .provenance import read_run, write_run
from .results import COLUMNS, Journal, adopt_table
from .summary import write_tables
from .tracking import notice, track
from .units import Persons, Unit
from .workers import threads


def compare(experiment: Experiment, out: str | Path | None = None, *, workers: int = 1) -> pd.DataFrame:
    """Runs an experiment and returns its summary; `out` receives tables, `run.json` and figures.

    Rows that an earlier call with the same configuration finished are not computed again.

    **Arguments:**

    - `out`: the results folder; `results/<name>` by default.
    - `workers`: processes that networks and persons are spread over, with one thread each; with 1 all happens in this
      process.

    Raises `UserError` for an unknown data set, backbone or method, a budget that is too small, or a folder that cannot
    be written.
    """
    start = time.perf_counter()
    experiment, dataset = opened(experiment)
    _check_settings(experiment, dataset)
    groups = [group for seed in experiment.seeds for group in persons_of(experiment, seed, report=True)]
    units = [unit for group in groups for unit in group.units()]
    folder = output_folder(out if out is not None else Path("results") / experiment.name)
    journal = Journal(folder, fingerprints(experiment, dataset))
    adopt_table(journal)
    missing = [unit for unit in units if not journal.has(unit.keys)]
    of_first_seed = [group for group in groups if group.seed == experiment.seeds[0]]
    run = read_run(folder)
    if not missing and (run.get("config"), run.get("fingerprints")) == (experiment.to_dict(), journal.fingerprints):
        _, summary = _write_tables(units, folder, journal)
        _write_gates(of_first_seed, folder)
        render(folder)
        return summary
    if journal.broken:
        notice(f"{journal.path} has {journal.broken} broken lines, as a kill leaves; their rows are computed again")
    config = experiment.to_dict()
    with track(folder, group=experiment.name, name="compare", job_type="compare", config=config) as tracker:
        compute_missing(missing, total=len(units), journal=journal, workers=workers)
        journal.read()
        if not all(journal.has(unit.keys) for unit in units):
            raise UserError(f"{journal.path} could not take all rows; free some space and run the same command again")
        (folder / "run.json").unlink(missing_ok=True)  # so that it never tells of other tables than are there
        table, summary = _write_tables(units, folder, journal)
        (folder / GATES).unlink(missing_ok=True)
        _write_gates(of_first_seed, folder)
        work: dict[str, Any] = {"wall_seconds": round(time.perf_counter() - start, 1), "workers": workers}
        work |= {"persons_computed": len(missing), "persons": len(units), "fingerprints": journal.fingerprints}
        write_run(folder, experiment.to_dict(), dataset.sha256, weights_sha256=weights_sha256(experiment), **work)
        figures = render(folder)
        tracker.table("table", table)
        tracker.table("summary", summary)
        tracker.summary(_headline(summary))
        for path in figures:
            tracker.image(path.stem, path)
    return summary


def _headline(summary: pd.DataFrame) -> dict[str, float]:
    """The accuracies as single values, for W&B's table of runs."""
    rows = summary.to_dict("records")
    names = ("persons", "method", "control", "budget")
    return {"/".join(str(row[name]) for name in names if row[name] != ""): row["accuracy"] for row in rows}


def _write_gates(groups: Sequence[Persons], folder: Path) -> None:
    """Writes `gates.csv` where `ppp` takes part and the file is not there whole."""
    among = groups[0]
    if "ppp" in among.experiment.methods and not gates_are_whole(folder, groups):
        with threads(1):
            write_gates(folder, global_model(among.experiment, among.dataset, among.seed, folder), groups)


def _check_settings(experiment: Experiment, dataset: IdentityDataset) -> None:
    """Raises before anything is trained, where a name is unknown or a budget too small for the backbone."""
    check_augmentations(experiment.training.augment)
    backbone, personalizers = experiment.backbone, personalizers_for(experiment)
    network = build(spec_for(backbone.name, backbone.options, dataset.input_shape, len(dataset.classes)))
    cost = CostModel(network, dataset.input_shape)
    for personalizer in personalizers:
        personalizer.check(network, cost)


def _write_tables(units: Sequence[Unit], folder: Path, journal: Journal) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Writes all tables and returns `table.csv` and `summary.csv`."""
    table = pd.DataFrame([journal.rows[key] for unit in units for key in unit.keys], columns=list(COLUMNS)).round(8)
    return table, write_tables(folder, table)

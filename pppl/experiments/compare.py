"""Every method on the same persons, the same support and the same budgets: one row per person."""

import hashlib
import json
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd
import torch
from tqdm.auto import tqdm

from ..backbones import build, spec_for
from ..config import Experiment
from ..data import IdentityDataset, draw_persons, load_dataset
from ..figures import render
from ..files import output_folder
from ..personalizers import Personalizer, personalizers_for
from ..pruning import CostModel, budget_masks
from .gatemap import write_gates
from .models import global_model
from .provenance import write_run
from .results import COLUMNS, Journal, write_table
from .statistics import summarize
from .tracking import track
from .units import Persons, Unit, Workbench

# Raised when a change makes rows of an earlier version differ from what would be computed now.
_VERSION = "1"


def compare(experiment: Experiment, out: str | Path | None = None) -> pd.DataFrame:
    """Runs an experiment and returns its summary; `out` receives tables, `run.json` and figures.

    Rows that an earlier call with the same configuration finished are not computed again.

    **Arguments:**

    - `out`: the results folder; `results/<name>` by default.

    Raises `UserError` for an unknown data set, backbone or method, a budget that is too small, or a folder that cannot
    be written.
    """
    start = time.perf_counter()
    personalizers = personalizers_for(experiment)
    dataset = load_dataset(experiment.data.name)
    _check_budgets(experiment, dataset, personalizers)
    groups = {
        (seed, size): Persons(
            experiment=experiment,
            dataset=dataset,
            persons=draw_persons(dataset, experiment.persons, size, seed),
            personalizers=personalizers,
        )
        for seed in experiment.seeds
        for size in experiment.persons.classes
    }
    units = [unit for group in groups.values() for unit in group.units()]
    folder = output_folder(out if out is not None else Path("results") / experiment.name)
    journal = Journal(folder, _fingerprint(experiment, dataset))
    missing = [unit for unit in units if not journal.has(unit.keys)]
    if not missing and (folder / "run.json").exists():
        summary = _write_tables(units, folder, journal)
        render(folder)
        return summary
    config = experiment.to_dict()
    with track(folder, group=experiment.name, name="compare", job_type="compare", config=config) as tracker:
        _compute(missing, total=len(units), folder=folder, journal=journal)
        summary = _write_tables(units, folder, journal)
        if "ppp" in experiment.methods:
            seed = experiment.seeds[0]
            model = global_model(experiment, dataset, seed, folder)
            write_gates(folder, model, [groups[seed, size] for size in experiment.persons.classes])
        write_run(folder, experiment, dataset, wall_seconds=time.perf_counter() - start)
        figures = render(folder)
        tracker.table("summary", summary)
        for path in figures:
            tracker.image(path.stem, path)
    return summary


def _check_budgets(experiment: Experiment, dataset: IdentityDataset, personalizers: Sequence[Personalizer]) -> None:
    """Raises before anything is trained, where a budget is too small for the backbone."""
    if not any(personalizer.prunes for personalizer in personalizers):
        return
    backbone = experiment.backbone
    network = build(spec_for(backbone.name, backbone.options, dataset.input_shape, len(dataset.classes)))
    scores = [torch.zeros(width) for width in network.widths]
    cost, pruning = CostModel(network, dataset.input_shape), experiment.pruning
    budget_masks(scores, cost, min(experiment.budgets), unit=pruning.unit, round_to=pruning.round_to)


def _fingerprint(experiment: Experiment, dataset: IdentityDataset) -> str:
    """Hash of all that a row depends on besides its keys."""
    tree = experiment.to_dict()
    for named_by_the_row in ("name", "methods", "budgets", "seeds"):
        del tree[named_by_the_row]
    del tree["persons"]["classes"]
    content = json.dumps([_VERSION, dataset.sha256, tree], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _compute(missing: Sequence[Unit], *, total: int, folder: Path, journal: Journal) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tqdm(total=total, initial=total - len(missing), desc="persons", unit="person", disable=None) as bar:
        for seed, of_seed in groupby(missing, key=lambda unit: unit.person.draw):
            units = list(of_seed)
            among = units[0].among
            model = global_model(among.experiment, among.dataset, seed, folder).to(device)
            for _, of_group in groupby(units, key=lambda unit: id(unit.among)):
                bench = Workbench(model, device)
                for unit in of_group:
                    journal.append(bench.rows(unit, known=frozenset(journal.rows)))
                    bar.update()


def _write_tables(units: Sequence[Unit], folder: Path, journal: Journal) -> pd.DataFrame:
    table = pd.DataFrame([journal.rows[key] for unit in units for key in unit.keys], columns=list(COLUMNS))
    summary = summarize(table)
    write_table(folder / "table.csv", table)
    write_table(folder / "summary.csv", summary)
    return summary

"""Every method on the same persons, the same support and the same budgets: one row per person."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ..backbones import build, spec_for
from ..config import Experiment
from ..data import IdentityDataset
from ..data.datamodule import check_augmentations
from ..personalizers import make_personalizers
from ..personalizers.ppp import SamplePPP
from ..pruning import CostModel
from ..system.errors import UserError, unknown
from ..system.files import claim, output_folder, remove
from ..system.processes import Workers, threads
from ..system.tracking import notice, track
from ..tables.derived import TABLES, Draw, draw_nothing, write_tables
from ..tables.journal import COLUMNS, Journal, adopt_table, name_budgets_exactly, round_numbers, write_table
from ..tables.metric import metric_of
from ..tables.provenance import read_run, write_run
from ..tasks import task_of
from .effort import EFFORT, effort
from .execution import compute_missing
from .folders import refuse_other_results
from .freshness import fingerprints, report_stale
from .gatemap import GATES, gates_are_whole, write_gates
from .global_models import global_model, list_training_devices
from .load import draw_groups, load_split, open_experiment, report_data, report_folds
from .recipes import weights_sha256
from .units import PersonGroup, Unit

# What is written besides figures.
_FILES = (*TABLES, EFFORT, GATES, "run.json")
# A full network that is less than so much above chance has not been trained.
_NEXT_TO_CHANCE = 0.1


def compare(
    experiment: Experiment, out: str | Path | None = None, *, workers: int = 1, draw: Draw = draw_nothing
) -> pd.DataFrame:
    """Run an experiment and return its summary; `out` receives tables, `run.json` and what `draw` draws.

    Rows that an earlier call with the same configuration finished are not computed again.

    **Arguments:**

    - `out`: the results folder; `results/<name>` by default.
    - `workers`: processes that networks and persons are spread over, with one thread each; with 1 all happens in this
      process.
    - `draw`: what draws figures of the folder's tables.

    Raises `UserError` for an unknown data set, backbone or method, a budget that is too small, or a folder that cannot
    be written.
    """
    start = time.perf_counter()
    plan = Plan.of(experiment, out if out is not None else Path("results") / experiment.name, report=True)
    refuse_other_results(plan.journal.path.parent, "compare", experiment.data, plan.dataset)
    experiment, folder, journal, missing = plan.experiment, plan.journal.path.parent, plan.journal, plan.missing()
    claim([folder / name for name in _FILES])
    of_first_seed = [group for group in plan.groups if group.seed == experiment.seeds[0]]
    run = read_run(folder)
    if not missing and (run.get("config"), run.get("fingerprints")) == (experiment.to_dict(), journal.fingerprints):
        summary = _write_tables(plan, plan.table(), folder)
        _write_gates(of_first_seed, folder)
        draw(folder)
        return summary
    plan.tell_stale()
    config = experiment.to_dict()
    with track(folder, group=experiment.name, name="compare", job_type="compare", config=config) as tracker:
        with Workers(workers) as pool:
            table = plan.computed(pool)
        warn_near_chance(table, plan.dataset)
        remove(folder / "run.json")  # so that it never tells of other tables than are there
        summary = _write_tables(plan, table, folder)
        _write_gates(of_first_seed, folder, anew=True)
        work: dict[str, Any] = {"wall_seconds": round(time.perf_counter() - start, 1), "workers": workers}
        work |= {"persons_computed": len(missing), "persons": len(plan.units), "fingerprints": journal.fingerprints}
        of_seed = {seed: load_split(experiment, seed) for seed in experiment.seeds}
        work |= {"metric": metric_of(table).to_dict()}
        work |= {"networks_trained_on": list_training_devices(experiment, of_seed)}
        write_run(folder, config, plan.dataset.sha256, weights_sha256=weights_sha256(experiment), **work)
        figures = draw(folder)
        tracker.table("table", table)
        tracker.table("summary", summary)
        tracker.summary(_headline(summary))
        for path in figures:
            tracker.image(path.stem, path)
    return summary


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an experiment comes to: persons, and which of their rows are finished."""

    experiment: Experiment
    dataset: IdentityDataset
    groups: list[PersonGroup]
    journal: Journal

    @staticmethod
    def of(experiment: Experiment, out: str | Path, *, report: bool = False) -> "Plan":
        """The plan of an experiment whose results are in `out`; `report`: whether to say what was read of a file of the
        user's own. Raises as `compare` does.
        """
        experiment, dataset = open_experiment(experiment)
        check_settings(experiment, dataset)
        if report:
            report_data(experiment, dataset)
            report_folds(experiment)
        groups = [group for seed in experiment.seeds for group in draw_groups(experiment, seed, report=True)]
        journal = Journal(output_folder(out), fingerprints(experiment, dataset))
        adopt_table(journal)
        return Plan(experiment=experiment, dataset=dataset, groups=groups, journal=journal)

    @cached_property
    def units(self) -> list[Unit]:
        """All persons' units."""
        return [unit for group in self.groups for unit in group.units()]

    def missing(self) -> list[Unit]:
        """Units that lack a row."""
        return [unit for unit in self.units if not self.journal.has(unit.keys)]

    def tell_stale(self) -> None:
        """Says how many rows there are that are computed again all the same, and why."""
        report_stale(self.journal, (key for unit in self.units for key in unit.keys))

    def table(self) -> pd.DataFrame:
        """The rows, where no row is missing."""
        rows = [self.journal.rows[key] for unit in self.units for key in unit.keys]
        rows = name_budgets_exactly(rows, self.experiment.budgets)
        return round_numbers(pd.DataFrame(rows, columns=list(COLUMNS)))

    def computed(self, pool: Workers) -> pd.DataFrame:
        """The rows, after what is missing has been computed. Raises `UserError` where not all could be kept."""
        path = self.journal.path
        if self.journal.broken:
            notice(f"{path} has {self.journal.broken} broken lines, as a kill leaves; their rows are computed again")
        for _ in range(2):  # another process that is killed in the middle of a line can spoil one of ours
            compute_missing(self.missing(), total=len(self.units), journal=self.journal, pool=pool)
            self.journal.read()
        if self.missing():
            raise UserError(f"{path} could not take all rows; free some space and run the same command again")
        return self.table()


def _headline(summary: pd.DataFrame) -> dict[str, float]:
    """The scores as single values, for W&B's table of runs."""
    rows = summary.to_dict("records")
    names = ("persons", "who", "method", "control", "budget")
    named = [{**row, "who": "" if row["seen"] else "unseen"} for row in rows]
    return {"/".join(str(row[name]) for name in names if row[name] != ""): float(row["score"]) for row in named}


def _write_gates(groups: Sequence[PersonGroup], folder: Path, *, anew: bool = False) -> None:
    """Writes `gates.csv` where a method has gates for each sample: `anew`, or where it is not there whole."""
    among = groups[0]
    gates = next((each.gates for each in among.personalizers if each.gates and isinstance(each, SamplePPP)), None)
    if gates is None:
        remove(folder / GATES)
    elif anew or not gates_are_whole(folder, groups):
        with threads(1):
            write_gates(folder, global_model(among.experiment, among.dataset, among.seed, folder), groups, gates)


def warn_near_chance(table: pd.DataFrame, dataset: IdentityDataset) -> None:
    """Warn if the full network has learnt next to nothing, which makes every comparison with it empty."""
    task = task_of(dataset)
    metric, chance = task.metrics[0], task.chance(dataset)
    mean = table["score_full"].to_numpy(float).mean()
    if chance is not None and mean < chance + _NEXT_TO_CHANCE:
        remedy = "train longer (training.epochs, or a smaller training.batch_size), since all is measured against it"
        told = [f"{value:.0%}" if metric.percent else f"{metric.name} {value:.2f}" for value in (mean, chance)]
        notice(f"the full network has {told[0]} on average, by chance it would have {told[1]}: {remedy}")


def check_settings(experiment: Experiment, dataset: IdentityDataset) -> None:
    """Raises `UserError`, before anything is trained, for an unknown name or a budget too small for the backbone."""
    check_augmentations(experiment.training.augment)
    if experiment.reference not in (*experiment.methods, Experiment.reference):
        raise unknown("reference", experiment.reference, experiment.methods)
    for question, methods in experiment.questions.items():
        for method in methods:
            if method not in experiment.methods:
                raise unknown(f"method of question {question!r}", method, experiment.methods)
    backbone, personalizers = experiment.backbone, make_personalizers(experiment)
    task = task_of(dataset)
    network = build(spec_for(backbone.name, backbone.options, dataset.input_shape, task.outputs(dataset)))
    cost = CostModel(network, dataset.input_shape)
    for personalizer in personalizers:
        if lacking := personalizer.unmet_needs(task):
            what = f"method {personalizer.method} needs {', '.join(lacking)}"
            raise UserError(f"{what}, and {dataset.name} is for {dataset.task}, which has none: leave it out")
        personalizer.check(network, cost)


def _write_tables(plan: Plan, table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Writes all tables and returns `summary.csv`."""
    write_table(folder / EFFORT, effort(plan.groups))
    return write_tables(folder, table, plan.experiment)

"""The comparison of methods on people: all methods have the same persons, support sets and budgets."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ..backbones import build, check_groups, spec_for
from ..config import Experiment
from ..data import IdentityDataset
from ..data.datamodule import check_augmentations
from ..personalizers import make_personalizers
from ..personalizers.ppp import SamplePPP
from ..pruning import CostModel
from ..system.errors import UserError, unknown
from ..system.files import output_folder, remove
from ..system.processes import Workers, threads
from ..system.tracking import notice
from ..tables.derived import TABLES, write_tables
from ..tables.journal import (
    COLUMNS,
    NUMBERS,
    TIMED,
    Journal,
    Row,
    adopt_table,
    name_budgets_exactly,
    round_numbers,
    write_table,
)
from ..tables.metric import metric_of
from ..tasks import Task, task_of
from .chance import warn_near_chance
from .effort import EFFORT, effort
from .execution import compute_missing
from .folders import refuse_other_results, tell_another_experiment
from .freshness import fingerprints
from .gatemap import GATES, gates_are_whole, write_gates
from .global_models import global_model, list_training_devices
from .load import draw_groups, load_split, open_experiment, report_data, report_folds
from .mask_leak import LEAK, leak_is_whole, leaking, write_leak
from .plan import Key, Plan
from .recipes import weights_sha256
from .units import PersonUnit


class PersonPlan(Plan[Experiment, PersonUnit]):
    """The plan of an experiment whose results are in `out`.

    **Arguments:**

    - `report`: whether to report the contents of the user's own data.

    Raise `UserError` for an unknown data set, backbone or method, a budget that is too small, or a folder that cannot
    be written to.
    """

    command = "compare"
    files = (*TABLES, EFFORT, GATES, LEAK, "run.json")
    measured = ("score_full", *(name for name in NUMBERS if name not in (TIMED, "score_full")))

    def __init__(self, experiment: Experiment, out: str | Path, *, report: bool = False):
        self.experiment, self.dataset = open_experiment(experiment)
        check_settings(self.experiment, self.dataset)
        if report:
            report_data(self.experiment, self.dataset)
            report_folds(self.experiment)
        self.groups = [
            group for seed in self.experiment.seeds for group in draw_groups(self.experiment, seed, report=report)
        ]
        self.stamps = fingerprints(self.experiment, self.dataset)
        self.data_sha256, self.weights_sha256 = self.dataset.sha256, weights_sha256(self.experiment)
        self.journal = Journal(output_folder(out), self.stamps)
        self.journals = (self.journal,)

    @cached_property
    def units(self) -> list[PersonUnit]:
        """One unit for each person."""
        return [unit for group in self.groups for unit in group.units()]

    def refuse_others(self) -> None:
        """Raise `UserError` if the folder holds results of another command or on other data; tell another name."""
        refuse_other_results(self.folder, self.command, self.experiment.data, self.dataset)
        tell_another_experiment(self.folder, self.experiment.name)

    def adopt(self) -> None:
        """Add the rows of a finished table to the journal."""
        adopt_table(self.journal)

    def due(self) -> list[PersonUnit]:
        """Return the persons who lack a row."""
        return [unit for unit in self.units if not self.journal.has(unit.keys)]

    def sample(self, table: Sequence[Row], count: int) -> list[PersonUnit]:
        """Return persons of the first seed, evenly spread over each group."""
        groups = [group for group in self.groups if group.seed == self.experiment.seeds[0]]
        return [unit for group in groups for unit in group.units()[:: max(1, len(group.persons) // count)][:count]]

    def compute(self, units: Sequence[PersonUnit], pool: Workers) -> None:
        """Train the networks that persons lack, and compute the persons' rows."""
        compute_missing(units, total=len(self.units), journal=self.journal, pool=pool)

    def keys(self) -> Iterator[Key]:
        """Yield the keys of all rows."""
        return (key for unit in self.units for key in unit.keys)

    def stale_keys(self) -> Iterator[Key]:
        """Yield the keys of all rows; a journal may have stale rows of other methods."""
        return self.keys()

    def computed(self, pool: Workers) -> pd.DataFrame:
        """Compute what is missing, and return the rows."""
        self.finish(pool)
        return self.table()

    def table(self) -> pd.DataFrame:
        """Return the rows. None may be missing."""
        rows = [self.journal.rows[key] for unit in self.units for key in unit.keys]
        if unknown_columns := {*rows[0]} - {*COLUMNS}:
            raise ValueError(f"rows have {sorted(unknown_columns)}, which are no columns of tables/journal.py")
        rows = name_budgets_exactly(rows, self.experiment.budgets)
        return round_numbers(pd.DataFrame(rows, columns=list(COLUMNS)))

    def write_tables(self, *, anew: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Write the table, its derived tables, `effort.csv`, `gates.csv` and `leak.csv`."""
        table = self.table()
        if anew:
            warn_near_chance("the full network", table["score_full"].to_numpy(float).mean(), self.dataset)
        write_table(self.folder / EFFORT, effort(self.groups))
        summary = write_tables(self.folder, table, self.experiment)
        self._write_gates(anew=anew)
        self._write_leak(anew=anew)
        return table, summary

    def _write_gates(self, *, anew: bool) -> None:
        """Write `gates.csv` of the first seed if a method has gates for each sample."""
        groups = [group for group in self.groups if group.seed == self.experiment.seeds[0]]
        methods = groups[0].personalizers
        gates = next((each.gates for each in methods if each.gates and isinstance(each, SamplePPP)), None)
        if gates is None:
            remove(self.folder / GATES)
        elif anew or not gates_are_whole(self.folder, groups):
            with threads(1):
                model = global_model(self.experiment, groups[0].dataset, groups[0].seed, self.folder)
                write_gates(self.folder, model, groups, gates)

    def _write_leak(self, *, anew: bool) -> None:
        """Write `leak.csv` of all seeds if a method has gates for one person at a time."""
        if not leaking(self.groups):
            remove(self.folder / LEAK)
        elif anew or not leak_is_whole(self.folder, self.groups):
            with threads(1):
                write_leak(self.folder, self.groups)

    def facts(self, table: pd.DataFrame, computed: Sequence[PersonUnit]) -> dict[str, Any]:
        """Return the number of persons, the metric, and the devices that networks were trained on."""
        of_seed = {seed: load_split(self.experiment, seed) for seed in self.experiment.seeds}
        return {
            "persons_computed": len(computed),
            "persons": len(self.units),
            "metric": metric_of(table).to_dict(),
            "networks_trained_on": list_training_devices(self.experiment, of_seed),
        }

    def name_row(self, row: Row) -> str:
        """Return method, control, budget, person and seed."""
        series = " ".join(str(row[name]) for name in ("method", "control") if row[name])
        return f"{series}, budget {row['budget']:g}, {row['persons']} {row['identity']}, seed {row['seed']}"

    def headline(self, summary: pd.DataFrame) -> dict[str, float]:
        """Return every score by the names of its series."""
        rows = summary.to_dict("records")
        names = ("persons", "who", "method", "control", "budget")
        named = [{**row, "who": "" if row["seen"] else "unseen"} for row in rows]
        return {"/".join(str(row[name]) for name in names if row[name] != ""): float(row["score"]) for row in named}


def check_settings(experiment: Experiment, dataset: IdentityDataset) -> None:
    """Raise `UserError`, before anything is trained, for an unknown name or a budget too small for the backbone."""
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
    # Tests hold the groups of this package's networks, and those of other networks are checked as they are found.
    if type(network).__module__.partition(".")[0] != "pppl":
        check_groups(network, dataset.input_shape)
    cost = CostModel(network, dataset.input_shape)
    _report_missing_labels(task, dataset, experiment)
    for personalizer in personalizers:
        if unmet := personalizer.unmet_needs(task):
            need = f"method {personalizer.method} needs {', '.join(unmet)}"
            raise UserError(f"{need}, and {dataset.name} is for {dataset.task}, which has none: leave it out")
        personalizer.check(network, cost)


def _report_missing_labels(task: Task, dataset: IdentityDataset, experiment: Experiment) -> None:
    """Report methods that differ in the prototype loss alone, if the task has no labels for it."""
    if {"ppp", "gated"} <= {*experiment.methods} and task.labels(dataset.y[:1]) is None:
        notice(f"the task {dataset.task} gives samples no labels, so there is no prototype loss: gated equals ppp")

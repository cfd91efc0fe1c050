"""One trial of a sweep: networks and validation persons with the settings that a sampler has taken."""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import optuna
import pandas as pd
import pytorch_lightning as pl
import torch
from optuna.trial import TrialState
from pytorch_lightning.utilities.seed import isolate_rng
from torch import nn

from ..comparison.compare import Plan, check_settings
from ..comparison.global_models import assemble, load_or_train
from ..comparison.load import load_split
from ..comparison.recipes import recipes
from ..comparison.units import Workbench
from ..config import MEASURES, Experiment, Sweep
from ..system.errors import Diverged, UserError
from ..system.processes import Workers, threads
from ..system.tracking import track
from ..tables.intervals import mean_interval
from ..tables.paired import people_of
from ..tables.provenance import fingerprint
from ..training.modules import use_channels_last
from .queue import RUN, SLOT, WHY
from .space import suggest, with_values
from .study import STARTUP

# Validation persons that the pruner looks at after each epoch.
_LOOK = 6


def run_trial(trial: optuna.Trial, sweep: Sweep, base: Experiment, folder: Path) -> tuple[TrialState, list[float]]:
    """How a trial ends and its objectives: means over validation persons and seeds, with the own samples.

    What an earlier try of the same values has finished is not computed again. All of it is one W&B run.
    """
    values, slot = suggest(trial, sweep.space), trial.user_attrs[SLOT]
    own = folder / "trials" / fingerprint(values)
    config = {**values, "sweep": sweep.name, "trial": slot}
    names = {"group": sweep.name, "name": f"{sweep.name}-{slot}", "job_type": "trial"}
    with track(folder, **names, config=config, whole_id=trial.user_attrs[RUN]) as tracker:
        try:
            table = _table(trial, sweep, _possible(base, values), own)
        except (optuna.TrialPruned, Diverged, _Impossible, torch.OutOfMemoryError) as end:
            why = (str(end).splitlines() or [""])[0]
            if not isinstance(end, optuna.TrialPruned):
                trial.set_user_attr(WHY, why)
            tracker.summary({"state": "pruned", "why": why})
            return TrialState.PRUNED, []
        measured = measure(table)
        tracker.summary({"state": "complete", **measured})
        tracker.table("persons", table)
    for name, value in measured.items():
        trial.set_user_attr(name, value)
    for name, bound in sweep.constraints.items():
        over = measured[name] - bound
        trial.set_constraint(name, -over if MEASURES[name] == "maximize" else over)
    return TrialState.COMPLETE, [measured[name] for name in sweep.objectives]


class _Impossible(Exception):
    """Values that are possible each for itself, and not together."""


def _possible(base: Experiment, values: Mapping[str, Any]) -> Experiment:
    """The experiment of a trial. Raises `_Impossible` where there is none with these values."""
    try:
        experiment = with_values(base, values)
        check_settings(experiment, load_split(base, base.seeds[0]))
    except UserError as error:
        raise _Impossible(str(error)) from error
    return experiment


def _table(trial: optuna.Trial, sweep: Sweep, experiment: Experiment, folder: Path) -> pd.DataFrame:
    """Rows of all persons and seeds. Raises `optuna.TrialPruned` where the pruner has seen enough."""
    tables: list[pd.DataFrame] = []
    for count, seed in enumerate(sweep.seeds):
        plan = Plan.of(experiment.replace(seeds=(seed,)), folder)
        if sweep.pruner != "none" and count == 0:
            _train_watched(trial, plan, folder)
        with Workers(1) as pool:
            tables.append(plan.computed(pool))
        if sweep.pruner != "none" and count + 1 < len(sweep.seeds):
            step = watched_epochs(experiment) + count
            trial.report(value := measure(pd.concat(tables))["accuracy"], step)
            if is_behind(trial, value, step):
                raise optuna.TrialPruned
    return pd.concat(tables)


def watched_epochs(experiment: Experiment) -> int:
    """How many epochs the gates are trained that a pruner watches."""
    return experiment.matched.epochs if experiment.ppp.training == "persons" else experiment.training.epochs


def is_behind(trial: optuna.Trial, value: float, step: int) -> bool:
    """Whether a value is below the median of what finished trials had at this step.

    Optuna's pruner compares the best value of all steps, which is the best epoch's on a few persons, and no mean over
    whole seeds is above that.
    """
    done = trial.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    others = [each.intermediate_values[step] for each in done if step in each.intermediate_values]
    return len(others) >= STARTUP and value < float(np.median(others))


def _train_watched(trial: optuna.Trial, plan: Plan, folder: Path) -> None:
    """Trains the networks of the first seed, that with gates under the pruner's eyes."""
    (seed,) = plan.experiment.seeds
    dataset = load_split(plan.experiment, seed)
    units = plan.units[:: -(-len(plan.units) // _LOOK)]  # of all groups
    networks: dict[str, nn.Module] = {}

    def worth(kind: str, network: nn.Module) -> float:
        model = assemble({**networks, kind: network}, plan.experiment, dataset, seed, folder)
        device = next(network.parameters()).device
        bench = Workbench(model.to(device), device)
        return measure(pd.DataFrame([row for unit in units for row in bench.rows(unit)]))["accuracy"]

    for recipe in recipes(plan.experiment, dataset, seed):
        watching = [] if recipe.kind == "full" else [Watched(trial, partial(worth, recipe.kind))]
        with threads(plan.experiment.training.threads):
            networks[recipe.kind], _ = load_or_train(recipe, plan.experiment, dataset, folder, watching=watching)


class Watched(pl.Callback):
    """Reports what the network in training is worth after each epoch, and ends a trial that is hopeless.

    The accuracy that counts is that of pruned networks; that of the gated one says little about it, since its gates are
    open at first.

    **Arguments:**

    - `worth`: of a network in evaluation mode. Training goes on as if it had not been called.
    """

    def __init__(self, trial: optuna.Trial, worth: Callable[[nn.Module], float]):
        self.trial, self.worth = trial, worth

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with isolate_rng(), torch.inference_mode(False):
            network = copy.deepcopy(cast(nn.Module, pl_module.network)).eval().requires_grad_(False)
            use_channels_last(network, torch.contiguous_format)
            value = self.worth(network)
        self.trial.report(value, trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def measure(table: pd.DataFrame) -> dict[str, float]:
    """`accuracy` with the own samples, with its 95 % interval over persons and seeds; how much less it is with another
    person's, `own_minus_other` (0 where a method has no such control); and `macs_fraction`.
    """
    rows = [row for row in table.to_dict("records") if row["control"] in ("", "own", "other")]

    def mean(name: str, controls: tuple[str, ...]) -> float:
        return float(np.mean([row[name] for row in rows if row["control"] in controls]))

    accuracy = mean("accuracy", ("", "own"))
    other = mean("accuracy", ("other",)) if any(row["control"] == "other" for row in rows) else accuracy
    macs = mean("macs_fraction", ("", "own"))
    own = cast(pd.DataFrame, table[table["control"].isin(["", "own"])])
    values, seeds = own["accuracy"].tolist(), own["seed"].tolist()
    low, high = map(float, mean_interval(values, seeds, people_of(own), limits=(0, 1)))
    measured = {"accuracy": accuracy, "accuracy_low": low, "accuracy_high": high}
    return measured | {"own_minus_other": accuracy - other, "macs_fraction": macs}

"""One trial of a sweep: training and evaluation on validation persons with the sampled values."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

from ..comparison.global_models import assemble, load_or_train
from ..comparison.load import load_split
from ..comparison.person_plan import PersonPlan, check_settings
from ..comparison.recipes import recipes
from ..comparison.units import Workbench
from ..config import MEASURES, Experiment, Sweep
from ..system.errors import Diverged, UserError
from ..system.processes import Workers, threads
from ..system.progress import about
from ..system.tracking import track
from ..tables.intervals import mean_interval
from ..tables.metric import metric_of
from ..tables.paired import people_of
from ..training.gate_settings import PersonTraining, PPPSettings
from ..training.modules import use_channels_last
from .queue import RUN, SLOT, WHY
from .space import suggest, trial_name, with_values
from .study import STARTUP

# Number of validation persons that the pruner evaluates after each epoch.
_WATCHED = 6


def run_trial(trial: optuna.Trial, sweep: Sweep, base: Experiment, folder: Path) -> tuple[TrialState, list[float]]:
    """Run a trial and return its final state and its objectives.

    Objectives are means over validation persons and seeds, with each person's own samples. Rows that an earlier attempt
    at the same values has finished are not computed again. All attempts of a trial share one W&B run.
    """
    values, slot = suggest(trial, sweep.space), trial.user_attrs[SLOT]
    own = folder / "trials" / trial_name(values)
    config = {**values, "sweep": sweep.name, "trial": slot}
    names = {"group": sweep.name, "name": f"{sweep.name}-{slot}", "job_type": "trial"}
    with track(folder, sweep.tracking, **names, config=config, whole_id=trial.user_attrs[RUN]) as tracker:
        try:
            table = _table(trial, sweep, _valid_experiment(base, values), own)
        except (optuna.TrialPruned, Diverged, _Impossible, torch.OutOfMemoryError) as end:
            why = (str(end).splitlines() or [""])[0]
            if not isinstance(end, optuna.TrialPruned):
                trial.set_user_attr(WHY, why)
            tracker.summary({"state": "pruned", "why": why})
            return TrialState.PRUNED, []
        measured = measure(table)
        trial.set_user_attr("metric", metric_of(table).name)
        tracker.summary({"state": "complete", **measured})
        tracker.table("persons", table)
    for name, value in measured.items():
        trial.set_user_attr(name, value)
    for name, bound in sweep.constraints.items():
        over = measured[name] - bound
        trial.set_constraint(name, -over if MEASURES[name] == "maximize" else over)
    return TrialState.COMPLETE, [measured[name] for name in sweep.objectives]


@contextmanager
def naming(trial: optuna.Trial) -> Iterator[None]:
    """Begin notices with the slot of the trial, and add its slot and values to errors, while the context is open.

    ```python
    with naming(trial):
        run_trial(trial, sweep, base, folder)
    ```
    """
    try:
        with about(f"trial {trial.user_attrs[SLOT]}"):
            yield
    except Exception as error:
        error.add_note(f"in trial {trial.user_attrs[SLOT]}, which tried {trial.params}")
        raise


def outcome_as_text(sweep: Sweep, values: Sequence[float]) -> str:
    """Return the objectives of a trial as one line.

    >>> outcome_as_text(Sweep(base="x"), [0.91234]), outcome_as_text(Sweep(base="x"), [])
    ('score 0.9123', 'ended early')

    **Arguments:**

    - `values`: its objectives; none if it ended early.
    """
    pairs = zip(sweep.objectives, values, strict=bool(values))
    return ", ".join(f"{name} {value:.4f}" for name, value in pairs) or "ended early"


class _Impossible(Exception):
    """Values that are valid one by one, but not together."""


def _valid_experiment(base: Experiment, values: Mapping[str, Any]) -> Experiment:
    """Return the experiment of a trial. Raise `_Impossible` if the values are not valid together."""
    try:
        experiment = with_values(base, values)
        check_settings(experiment, load_split(base, base.seeds[0]))
    except UserError as error:
        raise _Impossible(str(error)) from error
    return experiment


def _table(trial: optuna.Trial, sweep: Sweep, experiment: Experiment, folder: Path) -> pd.DataFrame:
    """Return the rows of all persons and seeds. Raise `optuna.TrialPruned` if the pruner ends the trial."""
    tables: list[pd.DataFrame] = []
    for count, seed in enumerate(sweep.seeds):
        plan = PersonPlan(experiment.replace(seeds=(seed,)), folder)
        if sweep.pruner != "none" and count == 0:
            _train_watched(trial, plan, folder)
        with Workers(1) as pool:
            tables.append(plan.computed(pool))
        if sweep.pruner != "none" and count + 1 < len(sweep.seeds):
            step = watched_epochs(experiment) + count
            trial.report(value := measure(pd.concat(tables))["score"], step)
            if is_behind(trial, value, step):
                raise optuna.TrialPruned
    return pd.concat(tables)


def watched_epochs(experiment: Experiment) -> int:
    """Return for how many epochs the gates are trained while the pruner watches."""
    return (
        experiment[PersonTraining].epochs
        if experiment[PPPSettings].training == "persons"
        else experiment.training.epochs
    )


def is_behind(trial: optuna.Trial, value: float, step: int) -> bool:
    """Return whether a value is below the median of the complete trials at the same step.

    Optuna's own pruner would compare the best value of all steps. That is the value of the best epoch on a few persons,
    which hides a low mean over whole seeds.
    """
    done = trial.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    others = [each.intermediate_values[step] for each in done if step in each.intermediate_values]
    return len(others) >= STARTUP and value < float(np.median(others))


def _train_watched(trial: optuna.Trial, plan: PersonPlan, folder: Path) -> None:
    """Train the networks of the first seed, and let the pruner watch the gated one."""
    (seed,) = plan.experiment.seeds
    dataset = load_split(plan.experiment, seed)
    units = plan.units[:: -(-len(plan.units) // _WATCHED)]  # a few from every group of persons
    networks: dict[str, nn.Module] = {}

    def worth(kind: str, network: nn.Module) -> float:
        model = assemble({**networks, kind: network}, plan.experiment, dataset, seed, folder)
        device = next(network.parameters()).device
        bench = Workbench(model.to(device), device)
        return measure(pd.DataFrame([row for unit in units for row in bench.rows(unit)]))["score"]

    for recipe in recipes(plan.experiment, dataset, seed):
        watching = [] if recipe.kind == "full" else [Watched(trial, partial(worth, recipe.kind))]
        with threads(plan.experiment.training.threads):
            networks[recipe.kind], _ = load_or_train(recipe, plan.experiment, dataset, folder, watching=watching)


class Watched(pl.Callback):
    """A callback that reports the score of pruned networks after each epoch, and ends a hopeless trial.

    The score of the gated network itself says little about that of the pruned ones, since gates are open at first.

    **Arguments:**

    - `worth`: a function that returns the score for a network in evaluation mode. Calling it does not affect
      training.
    """

    def __init__(self, trial: optuna.Trial, worth: Callable[[nn.Module], float]):
        self.trial, self.worth = trial, worth

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the epoch's score. Raise `optuna.TrialPruned` if the pruner ends the trial."""
        with isolate_rng(), torch.inference_mode(False):
            network = copy.deepcopy(cast(nn.Module, pl_module.network)).eval().requires_grad_(False)
            use_channels_last(network, torch.contiguous_format)
            value = self.worth(network)
        self.trial.report(value, trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def measure(table: pd.DataFrame) -> dict[str, float]:
    """Return the measures of a trial, means over persons and seeds.

    ```python
    measure(pd.read_csv("table.csv.gz"))["own_minus_other"]  # 0.21, for example
    ```

    **Returns:**

    - `score`: with the own samples; `score_low` and `score_high`, its 95 % interval over persons and seeds.
    - `own_minus_other`: how much lower the score is with another person's samples; 0 if the method has no such
      control.
    - `macs_fraction`: the fraction of the full network's MACs.
    """
    rows = [row for row in table.to_dict("records") if row["control"] in ("", "own", "other")]

    def mean(name: str, controls: tuple[str, ...]) -> float:
        return float(np.mean([row[name] for row in rows if row["control"] in controls]))

    score = mean("score", ("", "own"))
    other = mean("score", ("other",)) if any(row["control"] == "other" for row in rows) else score
    macs = mean("macs_fraction", ("", "own"))
    own = cast(pd.DataFrame, table[table["control"].isin(["", "own"])])
    values, seeds = own["score"].tolist(), own["seed"].tolist()
    low, high = map(float, mean_interval(values, seeds, people_of(own), limits=metric_of(table).limits))
    measured = {"score": score, "score_low": low, "score_high": high}
    return measured | {"own_minus_other": score - other, "macs_fraction": macs}

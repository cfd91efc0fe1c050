"""Running a sweep from its settings to its results, and its status. A killed sweep resumes when it is run again."""

import time
from math import inf
from pathlib import Path

import pandas as pd
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DBAPIError

from ..comparison.folders import refuse_other_command, refuse_other_results
from ..comparison.load import open_experiment, report_data
from ..comparison.recipes import weights_sha256
from ..config import Sweep
from ..config.plain_yaml import as_yaml
from ..system.errors import UserError
from ..system.files import claim, expand, output_folder
from ..tables.derived import Draw, draw_nothing
from ..tables.provenance import read_run, write_run
from ..tasks import task_of
from .life import GRACE
from .queue import SLOT, WHY, Queue
from .space import base_of, check_space, check_split, values_taken
from .storage import JOURNAL
from .study import known_queue, queue_of, quiet_optuna
from .supervisor import Launcher, Work, explain_trouble, supervise
from .trial_tables import FILES, best_of, is_feasible, study_run, write_results


def sweep(
    settings: Sweep,
    out: str | Path,
    *,
    workers: int = 1,
    beside: str | Path = "",
    fast: bool = False,
    storage: str = "",
    launcher: Launcher = "local",
    draw: Draw = draw_nothing,
) -> pd.DataFrame:
    """Run or resume a sweep and return `trials.csv`.

    The sweep ends when all trials are done or `settings.hours` have passed. The folder `out` receives `trials.csv`,
    `importances.csv`, `best.yaml`, `run.json` and the figures that `draw` makes.

    A worker that is killed is replaced, and its trial starts again with the same values; after `hours`, the next call
    does this. The number of finished trials is exact, however many machines take part.

    ```python
    settings = Sweep.load("sweeps/tune/digits_ppp.yaml")
    trials = sweep(settings, "results/digits_ppp", workers=2, beside="sweeps/tune")
    ```

    **Arguments:**

    - `workers`: the number of processes, each with one thread and one trial at a time.
    - `beside`: a folder that `base` may be relative to.
    - `fast`: whether to apply the section `fast` of the base experiment.
    - `storage`: the URL of a PostgreSQL database that several machines share; empty for a journal file in `out`.
    - `launcher`: `local`, or `slurm` to run workers as jobs of a cluster, which must share `out` and `storage`.
    - `draw`: a function that draws figures from the tables.

    Raise `UserError` before the first trial for an unknown key, an impossible range or data that are split by seed.
    Raise it also if `out` or the database holds a different study of that name, or cannot be reached or written.
    """
    start = time.perf_counter()
    base = base_of(settings, expand(beside), fast=fast)
    check_space(settings, base)
    base, dataset = open_experiment(base)
    check_split(settings, base, dataset)
    report_data(base, dataset)
    if launcher == "slurm" and not storage:
        raise UserError("--launcher slurm needs --storage: locks on a journal file may not hold between nodes")
    sources = [dataset.sha256, weights_sha256(base)]
    folder = output_folder(out)
    if storage or not (folder / JOURNAL).exists():  # a journal says which study the folder belongs to
        refuse_other_results(folder, "sweep", base.data, dataset)
    refuse_other_command(folder, "sweep")
    claim([folder / name for name in FILES])
    try:
        with quiet_optuna():
            queue = queue_of(settings, base, sources, folder, storage)
            before, settings = queue.finished(), settings.replace(trials=queue.slots)
            until = time.time() + 3600 * settings.hours if settings.hours else inf
            work = Work(settings=settings, base=base, folder=folder, storage=storage, until=until)
            supervise(work, queue, workers, launcher)
            if not queue.finished():
                raise UserError(f"no trial was finished in {settings.hours:g} hours: increase `hours`")
            # A call that found nothing left to do keeps the old `run.json`, which says where the results come from.
            run = study_run(settings, queue)
            before_this = read_run(folder)
            written = (before_this.get("study_run"), before_this.get("trials")) == (run, queue.finished())
            table = write_results(settings, base, queue, folder, run="" if written else run, draw=draw)
        done = {"wall_seconds": round(time.perf_counter() - start, 1), "workers": workers}
        done |= {"trials_run": queue.finished() - before, "trials": queue.finished()}
        done |= {
            "metric": task_of(dataset).metrics[0].to_dict(),
            "experiment": base.to_dict(),
            "weights_sha256": sources[1],
            "study_run": run,
        }
        if not written:
            write_run(folder, settings.to_dict() | {"seeds": list(settings.seeds)}, dataset.sha256, **done)
    except (OSError, StorageInternalError, DBAPIError) as error:
        raise UserError(explain_trouble(error, folder)) from error
    return table


def status(settings: Sweep, out: str | Path, *, storage: str = "") -> str:
    """Return how many trials of a study are done, running, dead or waiting, and the best trial so far.

    ```python
    print(status(Sweep.load("sweeps/tune/digits_ppp.yaml"), "results/digits_ppp"))
    ```

    Raise `UserError` if there is no such study.
    """
    with quiet_optuna():
        queue = known_queue(settings, expand(out), storage)
        trials = queue.trials()
        counts: dict[str, int] = dict.fromkeys(("done", "pruned", "given up", "running", "dead", "waiting"), 0)
        for trial in trials.values():
            counts[_state(queue, trial)] += 1
        counts["waiting"] += queue.slots - len(trials)
        lines = [", ".join(f"{count} {name}" for name, count in counts.items()) + f" of {queue.slots} trials"]
        if (best := best_of(settings, trials.values())) is not None:
            objectives = ", ".join(
                f"{name} {value:.4f}" for name, value in zip(settings.objectives, best.values, strict=True)
            )
            note = "" if is_feasible(best) else " (no trial keeps to the constraints)"
            values = as_yaml(values_taken(settings.space, best.params))
            lines.append(f"best so far{note}: trial {best.user_attrs[SLOT]}, {objectives}, {values}")
    return "\n".join(lines)


def _state(queue: Queue, trial: FrozenTrial) -> str:
    if trial.state == TrialState.RUNNING:
        return "running" if queue.life.alive(trial) and queue.life.age(trial) < GRACE else "dead"
    if WHY in trial.user_attrs:
        return "given up"
    return {TrialState.WAITING: "waiting", TrialState.PRUNED: "pruned"}.get(trial.state, "done")

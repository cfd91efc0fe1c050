"""Settings searched by Optuna, on validation persons: killed at any time, the same command goes on."""

import multiprocessing
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from tqdm.auto import tqdm

from ..config import Experiment, Sweep
from ..errors import UserError
from ..files import output_folder, replacing
from .opening import opened
from .provenance import fingerprint, write_run
from .sweep_queue import Queue, storage_in
from .sweep_space import base_of, check_space
from .sweep_tables import as_yaml, best_of, write_trials
from .sweep_trial import run_trial
from .workers import START, start_worker, threads

_POLL = 0.5  # seconds
_CONFIG = "sweep"


def sweep(
    settings: Sweep, out: str | Path, *, workers: int = 1, beside: Path = Path(), fast: bool = False
) -> pd.DataFrame:
    """Runs a sweep to its end and returns `trials.csv`; `out` receives it, `best.yaml` and `run.json`.

    A worker that is killed is replaced, and its trial starts again with the same values. The number of finished trials
    is exact.

    **Arguments:**

    - `workers`: processes, each with one thread and one trial at a time.
    - `beside`: the folder that `base` may be relative to. `fast`: whether its section `fast` is applied.

    Raises `UserError` for an unknown key or an impossible range, before the first trial, and where `out` has a study of
    another space.
    """
    start = time.perf_counter()
    base = base_of(settings, beside, fast=fast)
    check_space(settings, base)
    base, dataset = opened(base)
    folder = output_folder(out)
    with _quiet():
        queue = _queue(settings, base, folder)
        before = queue.finished()
        _supervise(settings, base, folder, queue, workers)
        table = write_trials(settings, base, queue, folder)
    work = {"wall_seconds": round(time.perf_counter() - start, 1), "workers": workers}
    work |= {"trials_run": queue.finished() - before, "trials": queue.finished()}
    write_run(folder, settings.to_dict() | {"seeds": list(settings.seeds)}, dataset.sha256, **work)
    return table


def status(out: str | Path) -> str:
    """What is done, running, dead and waiting of a study, and the best so far.

    Raises `UserError` where there is none.
    """
    folder = Path(out)
    if not (folder / "study.log").exists():
        raise UserError(f"{folder} has no study: name the --out of `pppl sweep`")
    with _quiet():
        study = _study_in(folder, None)
        settings = study.user_attrs[_CONFIG]
        queue = Queue(study, folder, settings["trials"])
        trials = queue.trials()
        of: dict[str, int] = dict.fromkeys(("done", "running", "dead", "waiting"), 0)
        for trial in trials.values():
            of[_state(queue, trial)] += 1
        of["waiting"] += queue.slots - len(trials)
        lines = [", ".join(f"{count} {name}" for name, count in of.items()) + f" of {queue.slots} trials"]
        best = best_of(trials.values())
        if best is not None and best.values is not None:
            lines.append(f"best so far: trial {best.number}, accuracy {best.values[0]:.4f}, {as_yaml(best.params)}")
    return "\n".join(lines)


def _state(queue: Queue, trial: FrozenTrial) -> str:
    if trial.state == TrialState.WAITING:
        return "waiting"
    if trial.state == TrialState.RUNNING:
        return "running" if queue.alive(trial.user_attrs.get("worker", "")) else "dead"
    return "done"


@contextmanager
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _queue(settings: Sweep, base: Experiment, folder: Path) -> Queue:
    """The study's queue, whole. Raises `UserError` where the folder has another study."""
    study = _study_in(folder, settings)
    config = {**settings.to_dict(), "experiment": base.to_dict()}
    known = study.user_attrs.get(_CONFIG)
    if known is not None and _identity(known) != _identity(config):
        raise UserError(f"{folder} has a study of another space, base or seeds: name another --out")
    study.set_user_attr(_CONFIG, config)
    queue = Queue(study, folder, settings.trials)
    queue.repair()
    return queue


def _identity(config: Mapping[str, Any]) -> str:
    """What all trials of a study have in common; more of them may be asked for later."""
    return fingerprint(
        {key: value for key, value in config.items() if key not in ("trials", "sampler", "sampler_seed")}
    )


def _study_in(folder: Path, settings: Sweep | None) -> optuna.Study:
    sampler = None if settings is None else _sampler(settings)
    try:
        return optuna.create_study(
            storage=storage_in(folder), study_name="sweep", direction="maximize", load_if_exists=True, sampler=sampler
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}/study.log is no journal of a study ({error}): move it away") from error


def _sampler(settings: Sweep) -> optuna.samplers.BaseSampler:
    seed = settings.sampler_seed
    return {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }[settings.sampler]()


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What a worker is given."""

    settings: Sweep
    base: Experiment
    folder: Path
    number: int


def _supervise(settings: Sweep, base: Experiment, folder: Path, queue: Queue, workers: int) -> None:
    """Until all slots are done: starts workers, and others in place of those that are killed."""
    context: Any = multiprocessing.get_context(START)
    if START == "forkserver":
        context.set_forkserver_preload([__name__])  # so that another worker is there at once
    count = min(workers, queue.slots - queue.finished())
    (folder / "error.txt").unlink(missing_ok=True)  # of an earlier call
    started = 0
    running: list[Any] = []
    try:
        with tqdm(total=queue.slots, initial=queue.finished(), desc="trials", unit="trial", disable=None) as bar:
            while (done := queue.finished()) < queue.slots:
                bar.update(done - bar.n)
                for process in [each for each in running if not each.is_alive()]:
                    running.remove(process)
                    if process.exitcode is not None and process.exitcode > 0:
                        raise UserError(_told(folder) or "a worker ended with an error")
                queue.repair()
                while len(running) < count:
                    work = _Work(settings=settings, base=base, folder=folder, number=started)
                    running.append(context.Process(target=_worker, args=(work,)))
                    running[-1].start()
                    started += 1
                time.sleep(_POLL)
            bar.update(queue.finished() - bar.n)
    except BaseException:
        for process in running:
            process.kill()  # Lightning catches the gentler signal; all that workers write is written atomically
        raise
    for process in running:
        process.join()


def _worker(work: _Work) -> None:
    start_worker()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Workers of one study must not draw the same values: each has a sampler's seed of its own.
    settings = work.settings.replace(sampler_seed=work.settings.sampler_seed + 1000 * work.number)
    queue = Queue(_study_in(work.folder, settings), work.folder, work.settings.trials)
    with queue.working(), threads(1):
        try:
            while queue.finished() < queue.slots:
                trial = queue.take()
                if trial is None:
                    time.sleep(_POLL)
                    queue.repair()
                    continue
                queue.study.tell(trial, run_trial(trial, work.settings, work.base, work.folder))
        except UserError as error:
            with replacing(work.folder / "error.txt") as path:
                path.write_text(str(error), encoding="utf-8")
            raise SystemExit(2) from error


def _told(folder: Path) -> str:
    path = folder / "error.txt"
    return path.read_text(encoding="utf-8") if path.exists() else ""

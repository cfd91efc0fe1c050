"""A sweep's Optuna study: opened or begun, with its sampler, its pruner and the check that it is the same sweep."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna

from ..config import MEASURES, Experiment, Sweep
from ..errors import UserError
from ..experiments.provenance import fingerprint
from .life import Life
from .queue import Queue
from .storage import JOURNAL, shown, storage_at

_CONFIG = "sweep"
# What may change while a study goes on.
_FREE = ("trials", "sampler", "sampler_seed", "pruner")


def queue_of(settings: Sweep, base: Experiment, folder: Path, url: str, *, far: bool) -> Queue:
    """The queue of a study that is begun or goes on, whole.

    Raises `UserError` where the folder or database has another study of that name.
    """
    study = open_study(settings, folder, url)
    config = {**settings.to_dict(), "experiment": base.to_dict()}
    known = study.user_attrs.get(_CONFIG)
    if known is not None and _identity(known) != _identity(config):
        where = f"{shown(url)} has a study {settings.name!r}" if url else f"{folder} has a study"
        remedy = "give this one another name" if url else "name another --out"
        raise UserError(f"{where} of another space, base or seeds: {remedy}")
    study.set_user_attr(_CONFIG, config)
    queue = Queue(study, Life(study, folder, far=far), settings.trials)
    queue.repair()
    return queue


def known_queue(settings: Sweep, folder: Path, url: str) -> Queue:
    """The queue of a study that has begun, as it is. Raises `UserError` where there is none."""
    if not url and not (folder / JOURNAL).exists():
        raise UserError(f"{folder} has no study: name the --out of `pppl sweep`")
    with _reading(folder):
        storage = storage_at(url, folder)
        if settings.name not in optuna.get_all_study_names(storage):
            raise UserError(f"{shown(url) if url else folder} has no study {settings.name!r}")
        study = optuna.load_study(study_name=settings.name, storage=storage)
    return Queue(study, Life(study, folder, far=True), study.user_attrs[_CONFIG]["trials"])


def open_study(settings: Sweep, folder: Path, url: str) -> optuna.Study:
    """The study, begun where there is none. Raises `UserError` where the journal is something else."""
    with _reading(folder):
        return optuna.create_study(
            storage=storage_at(url, folder),
            study_name=settings.name,
            directions=[MEASURES[name] for name in settings.objectives],
            load_if_exists=True,
            sampler=sampler_of(settings, settings.sampler_seed),
        )


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / JOURNAL} is no journal of a study ({error}): move it away") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, Optuna tells of errors only."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _identity(config: Mapping[str, Any]) -> str:
    """What all trials of a study have in common; more of them may be asked for later."""
    return fingerprint({key: value for key, value in config.items() if key not in _FREE})


def sampler_of(settings: Sweep, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler of a sweep with another seed."""
    return {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }[settings.sampler]()


def pruner_of(settings: Sweep, epochs: int) -> optuna.pruners.BasePruner:
    """The pruner of a sweep; it lets the first third of a training's epochs pass, in which the rate still rises."""
    if settings.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=8, n_min_trials=4, n_warmup_steps=epochs // 3)

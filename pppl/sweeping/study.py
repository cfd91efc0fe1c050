"""A sweep's Optuna study: opened or begun, with its sampler, its pruner and the check that it is the same sweep."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna

from ..config import MEASURES, Experiment, Sweep
from ..system.errors import UserError
from ..tables.provenance import fingerprint
from .life import Life
from .queue import Queue
from .storage import JOURNAL, hide_password, storage_at

_CONFIG = "sweep"
# A pruner lets so many trials finish before it compares any.
STARTUP = 8
# What may change while a study goes on.
_FREE = ("base", "trials", "sampler", "sampler_seed", "pruner", "hours")


def queue_of(settings: Sweep, base: Experiment, sources: Sequence[str], folder: Path, url: str) -> Queue:
    """The queue of a study that is begun or goes on, whole.

    **Arguments:**

    - `sources`: hashes of the data and weights that trials start from.

    Raises `UserError` where the folder or database has another study of that name.
    """
    study = open_study(settings, folder, url)
    experiment = base.to_dict() | {"searched": {}}  # which says nothing of trials
    config = {**settings.to_dict(), "experiment": experiment, "sources": list(sources)}
    known = study.user_attrs.get(_CONFIG)
    other = _begun_elsewhere(study, settings) if known is None else _differing(known, config)
    if other:
        where = f"{hide_password(url)} has a study {settings.name!r}" if url else f"{folder} has a study"
        remedy = "give this one another name" if url else "name another --out"
        raise UserError(f"{where} {other}: {remedy}")
    # Where more trials were asked for before, they are there.
    config["trials"] = max(settings.trials, known["trials"] if known else 0)
    study.set_user_attr(_CONFIG, config)
    queue = Queue(study, Life(study, folder, far=bool(url)), config["trials"])
    queue.repair()
    return queue


def _begun_elsewhere(study: optuna.Study, settings: Sweep) -> str:
    """What speaks against a study without settings being one that a sweep was killed in beginning."""
    wanted = [MEASURES[name] for name in settings.objectives]
    same = [direction.name.lower() for direction in study.directions] == wanted
    return "" if same and not study.get_trials(deepcopy=False) else "that pppl has not begun"


def known_queue(settings: Sweep, folder: Path, url: str) -> Queue:
    """The queue of a study that has begun, as it is. Raises `UserError` where there is none."""
    if not url and not (folder / JOURNAL).exists():
        raise UserError(f"{folder} has no study: name the --out of `pppl sweep`")
    with _reading(folder, url):
        storage = storage_at(url, folder)
        if settings.name not in optuna.get_all_study_names(storage):
            raise UserError(f"{hide_password(url) if url else folder} has no study {settings.name!r}")
        study = optuna.load_study(study_name=settings.name, storage=storage)
    config = study.user_attrs.get(_CONFIG)
    if config is None:
        raise UserError(f"study {settings.name!r} has no settings yet, or is not of `pppl sweep`")
    return Queue(study, Life(study, folder, far=bool(url)), config["trials"])


def open_study(settings: Sweep, folder: Path, url: str, *, patient: bool = False) -> optuna.Study:
    """The study, begun where there is none. Raises `UserError` where the journal is something else.

    **Arguments:**

    - `patient`: whether to wait for a database that does not answer.
    """
    with _reading(folder, url):
        return optuna.create_study(
            storage=storage_at(url, folder, patient=patient),
            study_name=settings.name,
            directions=[MEASURES[name] for name in settings.objectives],
            load_if_exists=True,
        )


@contextmanager
def _reading(folder: Path, url: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        if url:
            raise
        raise UserError(f"{folder / JOURNAL} is no journal of a study ({error}): move it away") from error


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Inside, Optuna tells of errors only."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _differing(known: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """What two sweeps do not have in common, of all that trials of one study must."""
    names = {"experiment": "base", "sources": "data"}
    known = _filled(known, Sweep().to_dict() | {"experiment": Experiment().to_dict()})
    keys = [key for key in config if key not in _FREE and fingerprint([known.get(key)]) != fingerprint([config[key]])]
    return f"of other {', '.join(names.get(key, key) for key in keys)}" if keys else ""


def _filled(known: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those that they lack at their defaults: the study is of a version that had none of these."""
    inner = {key: _filled(known[key], value) for key, value in usual.items() if isinstance(known.get(key), Mapping)}
    return {**usual, **known, **inner}


def sampler_of(settings: Sweep, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler of a sweep with a seed, less than 2^32."""
    return {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        # A fifth of the trials are drawn by lot, the others from what came before.
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, settings.trials // 5)),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }[settings.sampler]()


def pruner_of(settings: Sweep, epochs: int) -> optuna.pruners.BasePruner:
    """The pruner of a sweep; it lets the first third of a training's epochs pass, in which the rate still rises."""
    if settings.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_min_trials=4, n_warmup_steps=epochs // 3)

"""The Optuna study of a sweep: creating or opening it, checking its settings, its sampler and its pruner."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna

from ..config import MEASURES, Experiment, Sweep
from ..config.older import current_names
from ..config.sweep_experiment import RENAMED
from ..system.errors import UserError
from ..tables.provenance import fingerprint
from .life import Life
from .queue import Queue
from .storage import JOURNAL, hide_password, storage_at

_CONFIG = "sweep"
# The pruner starts to compare after this many trials are complete.
STARTUP = 8
# Settings that may change when a study is resumed.
_FREE = ("base", "trials", "sampler", "sampler_seed", "pruner", "hours", "tracking")


def queue_of(settings: Sweep, base: Experiment, sources: Sequence[str], folder: Path, url: str) -> Queue:
    """Create or resume a study, and return its queue, in which every slot has a trial.

    **Arguments:**

    - `sources`: hashes of the data and weights that trials start from.

    Raise `UserError` if the folder or database holds a different study of that name.
    """
    study = open_study(settings, folder, url)
    experiment = _of_trials(base)
    config = {**settings.to_dict(), "experiment": experiment, "sources": list(sources)}
    known = study.user_attrs.get(_CONFIG)
    other = _begun_elsewhere(study, settings) if known is None else _differing(known, config)
    if other:
        where = f"{hide_password(url)} has a study {settings.name!r}" if url else f"{folder} has a study"
        remedy = "give this one another name" if url else "name another --out"
        raise UserError(f"{where} {other}: {remedy}")
    # Trials that an earlier call asked for are queued already, so their number never decreases.
    config["trials"] = max(settings.trials, known["trials"] if known else 0)
    study.set_user_attr(_CONFIG, config)
    queue = Queue(study, Life(study, folder, far=bool(url)), config["trials"])
    queue.repair()
    return queue


def _begun_elsewhere(study: optuna.Study, settings: Sweep) -> str:
    """Return why a study without settings cannot be one that a sweep was killed while creating; empty if it can."""
    wanted = [MEASURES[name] for name in settings.objectives]
    same = [direction.name.lower() for direction in study.directions] == wanted
    return "" if same and not study.get_trials(deepcopy=False) else "that pppl did not create"


def known_queue(settings: Sweep, folder: Path, url: str) -> Queue:
    """Return the queue of an existing study without changing it. Raise `UserError` if there is no such study."""
    if not url and not (folder / JOURNAL).exists():
        raise UserError(f"{folder} has no study: name the --out of `pppl sweep`")
    with _translated_errors(folder, url):
        storage = storage_at(url, folder)
        if settings.name not in optuna.get_all_study_names(storage):
            raise UserError(f"{hide_password(url) if url else folder} has no study {settings.name!r}")
        study = optuna.load_study(study_name=settings.name, storage=storage)
    config = study.user_attrs.get(_CONFIG)
    if config is None:
        raise UserError(f"study {settings.name!r} was not created by `pppl sweep`, or has only just begun: try again")
    return Queue(study, Life(study, folder, far=bool(url)), config["trials"])


def open_study(settings: Sweep, folder: Path, url: str, *, patient: bool = False) -> optuna.Study:
    """Return the study of a sweep, and create it if there is none.

    **Arguments:**

    - `patient`: whether to wait for a database that does not answer.

    Raise `UserError` if the file in the journal's place is not a journal, or the database cannot be used.
    """
    with _translated_errors(folder, url):
        return optuna.create_study(
            storage=storage_at(url, folder, patient=patient),
            study_name=settings.name,
            directions=[MEASURES[name] for name in settings.objectives],
            load_if_exists=True,
        )


@contextmanager
def _translated_errors(folder: Path, url: str) -> Iterator[None]:
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
    """Silence Optuna's information messages while the context is open."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _differing(known: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return which settings differ between two sweeps that must agree to share a study; empty if none does."""
    names = {"experiment": "base", "sources": "data"}
    known = _filled(known, Sweep().to_dict() | {"experiment": _of_trials(Experiment())})
    known["experiment"] = current_names(known["experiment"])
    known["objectives"] = [RENAMED.get(name, name) for name in known["objectives"]]
    known["constraints"] = {RENAMED.get(name, name): bound for name, bound in known["constraints"].items()}
    keys = [key for key in config if key not in _FREE and fingerprint([known.get(key)]) != fingerprint([config[key]])]
    return f"with different {', '.join(names.get(key, key) for key in keys)}" if keys else ""


def _of_trials(base: Experiment) -> dict[str, Any]:
    """Return the settings of an experiment without those that do not affect trials."""
    tree = base.to_dict() | {"searched": {}, "looks": {}}
    return {key: value for key, value in tree.items() if key != "tracking"}


def _filled(known: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with defaults for missing keys: an older version that lacked them may have begun the study."""
    inner = {key: _filled(known[key], value) for key, value in usual.items() if isinstance(known.get(key), Mapping)}
    return {**usual, **known, **inner}


def sampler_of(settings: Sweep, seed: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of a sweep.

    ```python
    sampler_of(Sweep(sampler="tpe"), seed=0)  # an optuna.samplers.TPESampler
    ```

    **Arguments:**

    - `seed`: less than 2^32.
    """
    return {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        # The first fifth of the trials is random; each later generation evolves from earlier trials.
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, settings.trials // 5)),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }[settings.sampler]()


def pruner_of(settings: Sweep, epochs: int) -> optuna.pruners.BasePruner:
    """Return the pruner of a sweep.

    It ignores the first third of the epochs, in which the one-cycle learning rate still rises.
    """
    if settings.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_min_trials=4, n_warmup_steps=epochs // 3)

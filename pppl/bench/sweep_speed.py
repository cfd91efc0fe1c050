"""Benchmarks of sweeps: two workers against one, and the time of a trial without its training."""

import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import yaml

from ..config import Experiment, Sweep
from ..sweeping import sweep
from ..sweeping.storage import storage_at
from ..system.tracking import notice
from .ratio import Measured, own_folder

_PAIRS, _TRIALS = 2, 12
# Search spaces in which every trial trains networks, and in which none does, since all share the same networks.
_TRAINED, _KEPT = {"ppp.target_rate": {"low": 0.1, "high": 0.9}}, {"budget": {"low": 0.3, "high": 0.9}}


def measure() -> Iterator[Measured]:
    """Yield the seconds of a trial without training, and the time of one worker relative to two.

    They come from the times of trials in the study, which do not include the start of processes.
    """
    with own_folder(wandb="offline") as folder:
        _run(folder, "networks", _KEPT, workers=1, trials=1)
        seconds = _run(folder, "kept", _KEPT, workers=1, trials=_TRIALS) / _TRIALS
        yield Measured("sweep: a trial without training", seconds, "its W&B run and all its rows included", "<= 1", "s")
        if (os.cpu_count() or 1) < 2:
            notice("two workers cannot be measured on one core")
            return
        ratios = []
        for pair in range(_PAIRS):
            # Another seed of networks, so that neither run finds networks that the other has trained.
            one, two = (
                _run(folder, f"{workers}-{pair}", _TRAINED, workers=workers, trials=_TRIALS, seed=2 * pair + workers)
                for workers in (1, 2)
            )
            ratios.append(one / two)
        yield Measured("sweep: two workers", statistics.median(ratios), "one worker, time for time", ">= 1.6")


def _run(folder: Path, name: str, space: dict[str, Any], *, workers: int, trials: int, seed: int = 0) -> float:
    """Run a sweep and return the seconds from the start of its first trial to the end of its last one."""
    base, out = folder / "base.yaml", folder / name
    changes = {"persons.classes": [2], "persons.count": 2, "training.epochs": 8}
    base.write_text(yaml.safe_dump(Experiment().replace(**changes).to_dict()), encoding="utf-8")
    settings = Sweep(name=name, base=str(base), space=space, sampler="random", trials=trials, seeds=(1000 + seed,))
    sweep(settings, out, workers=workers)
    tried = optuna.load_study(study_name=name, storage=storage_at("", out)).trials
    starts, ends = (
        [time for trial in tried if (time := getattr(trial, f"datetime_{end}"))] for end in ("start", "complete")
    )
    return (max(ends) - min(starts)).total_seconds()

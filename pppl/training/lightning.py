"""Lightning's trainer: its devices, precision, seeds and environment."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.utilities.seed import isolate_rng

from ..system.environment import without_launcher
from ..system.errors import UserError
from .ranks import Place

Precision = Literal["bf16-mixed", "32-true"]


def usual_precision() -> Precision:
    """Return the default precision of training: bf16 if there is a GPU."""
    return "bf16-mixed" if torch.cuda.is_available() else "32-true"


def precision_here(precision: Literal["auto"] | Precision) -> Precision:
    """Return the precision that training has on this machine, as Lightning names it."""
    return usual_precision() if precision == "auto" else precision


def device_kind() -> str:
    """Return the kind of device that networks are trained on, `cuda`, `mps` or `cpu`, as Lightning names it."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def device_count(devices: int | Literal["auto"]) -> int:
    """Return the number of devices of a training.

    **Arguments:**

    - `devices`: the number, which is returned, or `auto` for all GPUs or one processor.

    Raise `UserError` if there are fewer.
    """
    kind = device_kind()
    present = {"cuda": torch.cuda.device_count(), "mps": 1}.get(kind, os.cpu_count() or 1)
    if devices == "auto":
        return 1 if kind == "cpu" else present
    if devices > present:
        name = ("processor" if kind == "cpu" else "GPU") + "s" * (present != 1)
        raise UserError(f"training.devices is {devices}, but this machine has {present} {name}: set at most {present}")
    return devices


@contextmanager
def seed_inside(seed: int) -> Iterator[None]:
    """Seed the random numbers of Python, numpy and torch inside; restore their states afterwards."""
    names = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")  # Lightning sets these for its worker processes
    before = {name: os.environ.get(name) for name in names}
    try:
        with isolate_rng():
            pl.seed_everything(seed, workers=True, verbose=False)
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def trainer(place: Place | None = None, **options: Any) -> Iterator[pl.Trainer]:
    """Make a trainer for one process on one device, or for the processes of `place`.

    Launchers and clusters in the environment are ignored. Inside, Lightning is quiet, warnings of intended behaviour
    are off, and Ctrl-C raises a KeyboardInterrupt.

    **Arguments:**

    - `options`: more arguments of Lightning's trainer.
    """
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    place = place or Place()
    with warnings.catch_warnings(), without_launcher(), _connected(place), _ranked(place):
        # Lightning 2.6 makes a call that torch 2.13 deprecates.
        warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\).*")
        warnings.filterwarnings("ignore", ".*GPU available but not used.*")  # a task is trained on its network's device
        warnings.filterwarnings("ignore", ".*does not have many workers.*")  # data are in memory and need no workers
        warnings.filterwarnings("ignore", ".*but have no `val_dataloader`.*")  # a user's batches may have none
        warnings.filterwarnings("ignore", ".*`broadcast_buffers` is deprecated.*")  # its replacement is new
        try:
            yield pl.Trainer(**place.options(), enable_model_summary=False, **options)
        except SystemExit as end:  # Lightning turns Ctrl-C into this
            cause = end.__context__
            raise (cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt()) from end
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _ranked(place: Place) -> Iterator[None]:
    """Set the rank that decides who writes logs, rank 0; else a rank that Lightning found at import could mute them."""
    decorator = cast(Any, rank_zero_only)
    before, decorator.rank = getattr(decorator, "rank", 0), place.rank
    try:
        yield
    finally:
        decorator.rank = before


@contextmanager
def _connected(place: Place) -> Iterator[None]:
    """Close the connection of several processes at the end, so that another training can open its own."""
    try:
        yield
    finally:
        if place.count > 1:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            for name in ("MASTER_ADDR", "MASTER_PORT"):  # Lightning does not remove these
                os.environ.pop(name, None)

"""What every use of Lightning's trainer needs."""

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
    """Of training: bf16 where there is a GPU."""
    return "bf16-mixed" if torch.cuda.is_available() else "32-true"


def precision_here(asked: Literal["auto"] | Precision) -> Precision:
    """Return the precision that training has here, as Lightning names it."""
    return usual_precision() if asked == "auto" else asked


def device_kind() -> str:
    """Return the kind of device that networks are trained on here, as Lightning names its accelerators."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def device_count(asked: int | Literal["auto"]) -> int:
    """Return how many devices a training has here that asks for so many; `auto`: all GPUs, or one processor.

    Raise `UserError` if there are fewer.
    """
    kind = device_kind()
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(kind, os.cpu_count() or 1)
    if asked == "auto":
        return 1 if kind == "cpu" else there
    if asked > there:
        name = "processor" if kind == "cpu" else "GPU"
        raise UserError(f"training.devices is {asked}, and there {_are(there, name)} here: ask for at most {there}")
    return asked


def _are(count: int, name: str) -> str:
    return f"is 1 {name}" if count == 1 else f"are {count} {name}s"


@contextmanager
def seed_inside(seed: int) -> Iterator[None]:
    """Let random numbers of Python, numpy and torch follow from `seed` inside; outside they go on as if nothing was."""
    names = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")  # which Lightning leaves behind for its worker processes
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
    """A trainer of one process on one device, or of as many as its place says, whatever the environment says of others.

    Inside, it neither chats nor warns of what is meant, and Ctrl-C is a KeyboardInterrupt.
    """
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    place = place or Place()
    with warnings.catch_warnings(), without_launcher(), _connected(place), _ranked(place):
        # Lightning 2.6 asks torch 2.13 in a way that it deprecates.
        warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\).*")
        warnings.filterwarnings("ignore", ".*GPU available but not used.*")  # a task is trained where its network is
        warnings.filterwarnings("ignore", ".*does not have many workers.*")  # batches are made in memory
        warnings.filterwarnings("ignore", ".*`broadcast_buffers` is deprecated.*")  # what replaces it is new
        try:
            yield pl.Trainer(**place.options(), enable_model_summary=False, **options)
        except SystemExit as end:  # what Lightning makes of Ctrl-C
            cause = end.__context__
            raise (cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt()) from end
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _ranked(place: Place) -> Iterator[None]:
    """Inside, rank 0 writes logs; a rank that Lightning met when it was imported would mute them."""
    decorator = cast(Any, rank_zero_only)
    before, decorator.rank = getattr(decorator, "rank", 0), place.rank
    try:
        yield
    finally:
        decorator.rank = before


@contextmanager
def _connected(place: Place) -> Iterator[None]:
    """End the connection of several processes with the block, so that another training can have its own."""
    try:
        yield
    finally:
        if place.count > 1:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            for name in ("MASTER_ADDR", "MASTER_PORT"):  # which Lightning leaves behind
                os.environ.pop(name, None)

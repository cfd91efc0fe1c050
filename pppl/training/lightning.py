"""What every use of Lightning's trainer needs."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.utilities.seed import isolate_rng

from ..system.environment import without_launcher

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
def trainer(**options: Any) -> Iterator[pl.Trainer]:
    """A trainer of one process on one device, whatever the environment says of others.

    Inside, it neither chats nor warns of what is meant, and Ctrl-C is a KeyboardInterrupt.
    """
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings(), without_launcher(), _first():
        # Lightning 2.6 asks torch 2.13 in a way that it deprecates.
        warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\).*")
        warnings.filterwarnings("ignore", ".*GPU available but not used.*")  # a task is trained where its network is
        warnings.filterwarnings("ignore", ".*does not have many workers.*")  # batches are made in memory
        try:
            # A named environment, or Lightning looks for one and starts MPI where it is installed.
            yield pl.Trainer(
                devices=1, num_nodes=1, plugins=[LightningEnvironment()], enable_model_summary=False, **options
            )
        except SystemExit as end:  # what Lightning makes of Ctrl-C
            cause = end.__context__
            raise (cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt()) from end
        finally:
            logger.setLevel(level)


@contextmanager
def _first() -> Iterator[None]:
    """Inside, loggers and checkpoints are written; a rank that Lightning met when it was imported would mute them."""
    decorator = cast(Any, rank_zero_only)
    before, decorator.rank = getattr(decorator, "rank", 0), 0
    try:
        yield
    finally:
        decorator.rank = before

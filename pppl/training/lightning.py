"""What every use of Lightning's trainer needs."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

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
def quietly() -> Iterator[None]:
    """Inside, a trainer neither chats nor warns of what is meant, and Ctrl-C is a KeyboardInterrupt."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # Lightning 2.6 asks torch 2.13 in a way that it deprecates.
        warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\).*")
        warnings.filterwarnings("ignore", ".*GPU available but not used.*")  # a task is trained where its network is
        try:
            yield
        except SystemExit as end:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from end

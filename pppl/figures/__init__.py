"""Figures from tables alone: one function per figure, a tidy frame in, axes out."""

from .accuracy_vs_bytes import accuracy_vs_bytes
from .accuracy_vs_macs import accuracy_vs_macs
from .gates import gates
from .iso_macs import iso_macs
from .personal_gain import personal_gain
from .render import render
from .retraining import retraining
from .tasks import storage, task_scores

__all__ = [
    "accuracy_vs_bytes",
    "accuracy_vs_macs",
    "gates",
    "iso_macs",
    "personal_gain",
    "render",
    "retraining",
    "storage",
    "task_scores",
]

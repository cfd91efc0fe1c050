"""Figures from tables alone: one function per figure, a tidy frame in, axes out."""

from .accuracy_vs_bytes import accuracy_vs_bytes
from .accuracy_vs_macs import accuracy_vs_macs
from .gates import gates
from .render import render
from .tasks import storage, task_scores

__all__ = ["accuracy_vs_bytes", "accuracy_vs_macs", "gates", "render", "storage", "task_scores"]

"""Figures drawn from tables alone: each function takes a tidy frame and returns axes.

`with style("neurips"):` sizes figures for a venue. `*_figure` functions return a whole figure with its panels.
`render` draws all figures of a results folder. The others take the `Looks` of an experiment, for its variants.
"""

from .accuracy_vs_bytes import accuracy_vs_bytes
from .accuracy_vs_macs import accuracy_vs_macs
from .gates import gates
from .iso_macs import iso_macs
from .looks import Looks
from .overview import overview_figure
from .panels import accuracy_figure, bytes_figure, gain_figure, gates_figure, iso_figure, retraining_figure
from .personal_gain import personal_gain
from .render import render, rendered
from .retraining import retraining
from .score_list import list_figure, score_list
from .support_kinds import support_kinds, supports_figure
from .sweep_panels import sweep_figures
from .task_panels import scores_figure, storage_figure
from .task_scores import storage, task_scores
from .venues import style

__all__ = [
    "Looks",
    "accuracy_figure",
    "accuracy_vs_bytes",
    "accuracy_vs_macs",
    "bytes_figure",
    "gain_figure",
    "gates",
    "gates_figure",
    "iso_figure",
    "iso_macs",
    "list_figure",
    "overview_figure",
    "personal_gain",
    "render",
    "rendered",
    "retraining",
    "retraining_figure",
    "score_list",
    "scores_figure",
    "storage",
    "storage_figure",
    "style",
    "support_kinds",
    "supports_figure",
    "sweep_figures",
    "task_scores",
]

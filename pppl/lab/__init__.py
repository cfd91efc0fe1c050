"""Functions for notebooks: run or reopen a comparison or a sweep in one line, with a result that displays itself."""

from ..report.results_frame import ResultsFrame
from .commands import compare, compare_tasks, merge, sweep
from .explorer import Explorer, explore
from .own_network import TrainedGates, groups, train_gates
from .runs import LoadedRun, load_run
from .small_network import Personalized, load_small
from .studies import Study, study

__all__ = [
    "Explorer",
    "LoadedRun",
    "Personalized",
    "ResultsFrame",
    "Study",
    "TrainedGates",
    "compare",
    "compare_tasks",
    "explore",
    "groups",
    "load_run",
    "load_small",
    "merge",
    "study",
    "sweep",
    "train_gates",
]

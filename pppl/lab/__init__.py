"""What a notebook types: comparisons, sweeps and runs of before, in one line each, that show themselves."""

from ..report.results_frame import ResultsFrame
from .commands import compare, compare_tasks, merge, sweep
from .runs import LoadedRun, load_run
from .studies import Study, study

__all__ = ["LoadedRun", "ResultsFrame", "Study", "compare", "compare_tasks", "load_run", "merge", "study", "sweep"]

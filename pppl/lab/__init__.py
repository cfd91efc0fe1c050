"""What a notebook types: comparisons, sweeps and runs of before, in one line each, that show themselves."""

from ..report.results_frame import Results
from .runs import LoadedRun, compare, load_run
from .studies import Study, study

__all__ = ["LoadedRun", "Results", "Study", "compare", "load_run", "study"]

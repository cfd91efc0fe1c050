"""What a notebook types: comparisons, sweeps and runs of before, in one line each, that show themselves."""

from .runs import LoadedRun, compare, load_run
from .studies import Study, study
from .tables import Results

__all__ = ["LoadedRun", "Results", "Study", "compare", "load_run", "study"]

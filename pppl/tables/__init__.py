"""Tables of results: their schema, the journal of finished rows, and statistics. Importing it does not load torch."""

from .intervals import mean_interval
from .metric import Metric
from .schema import load_frame

__all__ = ["Metric", "load_frame", "mean_interval"]

"""One HTML file that shows a results folder, from its tables and figures alone."""

from .answer import answers_of
from .report import report

__all__ = ["answers_of", "report"]

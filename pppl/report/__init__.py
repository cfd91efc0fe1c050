"""Reports of a results folder, as one HTML file, as Markdown or as one figure, from its tables and figures alone."""

from .leaks import leaks_of
from .markdown import accuracies_of, answers_of
from .report import report
from .side_by_side import overview_of

__all__ = ["accuracies_of", "answers_of", "leaks_of", "overview_of", "report"]

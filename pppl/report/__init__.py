"""Reports of a results folder, as one HTML file, as Markdown or as one figure, from its tables and figures alone."""

from .leaks import leaks_of
from .markdown import accuracies_of, answers_of
from .overview_of import overview_of
from .report import report

__all__ = ["accuracies_of", "answers_of", "leaks_of", "overview_of", "report"]

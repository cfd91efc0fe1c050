"""Reports of a results folder, as one HTML file or as Markdown, from its tables and figures alone."""

from .leaks import leaks_of
from .markdown import accuracies_of, answers_of
from .report import report

__all__ = ["accuracies_of", "answers_of", "leaks_of", "report"]

"""One HTML file that shows a results folder, from its tables and figures alone."""

from .report import report

__all__ = ["report"]

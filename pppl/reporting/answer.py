"""The question of a results folder answered in prose, with numbers of its tables."""

from .answer_persons import of_persons
from .answer_sweep import of_sweep
from .answer_tasks import of_tasks
from .folder import Results
from .html import Html


def answer(results: Results) -> list[Html]:
    """Paragraphs: what was measured, then what came of it."""
    return {"persons": of_persons, "tasks": of_tasks, "sweep": of_sweep}[results.kind](results)

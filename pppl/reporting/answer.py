"""The question of a results folder answered in prose, with numbers of its tables."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..errors import UserError
from ..figures.accuracy_vs_macs import shown_budgets
from .answer_persons import of_persons
from .answer_sweep import of_sweep
from .answer_tasks import of_tasks
from .folder import Results, read_results
from .html import Html, element
from .practice import practice


def answer(results: Results) -> list[Html]:
    """Paragraphs: what was measured, then what came of it; of persons a list of what to do in practice, too."""
    paragraphs = {"persons": of_persons, "tasks": of_tasks, "sweep": of_sweep}[results.kind](results)
    lines = practice([results], headline(results)) if results.kind == "persons" else []
    items = [element("li", element("strong", line.question), f": {line.told}.") for line in lines]
    return [*paragraphs, element("ul", *items, class_="practice")] if items else paragraphs


def headline(results: Results) -> float:
    """Return the budget that all is told at."""
    return shown_budgets(pd.DataFrame(results.main.rows))[0]


def answers_of(folders: Sequence[Path]) -> str:
    """Return what several comparisons on persons come to, as a list in Markdown, at the budget of the first.

    Raises `UserError` where a folder is none of a comparison on persons.
    """
    read = [read_results(folder) for folder in folders]
    for each in read:
        if each.kind != "persons":
            raise UserError(f"{each.folder} is no comparison on persons: name folders of `pppl compare`")
    lines = practice(read, headline(read[0]))
    return "\n".join(f"{number}. **{line.question}**: {line.told}." for number, line in enumerate(lines, 1))

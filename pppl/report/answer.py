"""The answer to the question of a results folder: prose with numbers from its tables."""

from .answer_persons import answer_persons
from .answer_sweep import answer_sweep
from .answer_tasks import answer_tasks
from .folder import FolderTables
from .html import Html, element
from .markdown import headline
from .practice import practice


def answer(results: FolderTables) -> list[Html]:
    """Return paragraphs on what was measured and what was found; for persons, a list of practical advice, too."""
    paragraphs = {"persons": answer_persons, "tasks": answer_tasks, "sweep": answer_sweep}[results.kind](results)
    lines = practice([results], headline(results)) if results.kind == "persons" else []
    told = [(line.question, line.told.replace("\\*", "*")) for line in lines]  # HTML escapes no asterisks
    items = [element("li", element("strong", question), f": {text}.") for question, text in told]
    return [*paragraphs, element("ul", *items, class_="practice")] if items else paragraphs

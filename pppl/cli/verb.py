"""The type of a verb, and the parser and path type that all verbs share."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ..system.errors import UserError
from ..system.files import expand

# A function of the parsed arguments and of settings by dotted key, one line of help, and a function that adds the
# verb's arguments to a parser.
Verb = tuple[Callable[[argparse.Namespace, dict[str, Any]], None], str, Callable[[argparse.ArgumentParser], None]]

# A parser, or a group of its options.
Arguments = argparse.ArgumentParser | argparse._ArgumentGroup


class Parser(argparse.ArgumentParser):
    """A parser that reports bad arguments as the rest of the program does: by one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Raise a `UserError` with the message and the command that prints the help."""
        raise UserError(f"{message}; see `{self.prog} --help`")


def verb_parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the verbs, or of the actions of one verb, by name.

    >>> from pppl.cli.command import build_parser
    >>> [*verb_parsers(verb_parsers(build_parser())["data"])]
    ['list', 'prepare', 'check']
    """
    found = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return {name: each for action in found for name, each in action.choices.items()}


def user_path(text: str) -> Path:
    """Return an argument as a path with `~` expanded. This is the argparse type of all paths.

    >>> user_path("results/digits").name
    'digits'
    """
    try:
        return expand(text)
    except UserError as error:  # argparse prints the message of no other error
        raise argparse.ArgumentTypeError(str(error)) from error


def worker_count(workers: int | None) -> int:
    """Return how many worker processes to start: one per core by default. Raise `UserError` if it is less than 1.

    >>> worker_count(3)
    3
    """
    if workers is not None and workers < 1:
        raise UserError(f"--workers is {workers}: at least 1")
    return workers or os.cpu_count() or 1

"""What a verb is."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ..system.errors import UserError
from ..system.files import expand

# What it does with its arguments and with settings by dotted key, one line of help, and what adds its arguments.
Verb = tuple[Callable[[argparse.Namespace, dict[str, Any]], None], str, Callable[[argparse.ArgumentParser], None]]


class Parser(argparse.ArgumentParser):
    """Reports bad arguments as the rest of the program does: one line, exit 2."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see `{self.prog} --help`")


def user_path(text: str) -> Path:
    """Read an argument that is a path: the type of all of them."""
    try:
        return expand(text)
    except UserError as error:  # argparse tells no other error's own words
        raise argparse.ArgumentTypeError(str(error)) from error

"""Settings on the command line: `--a.b VALUE`, wherever they stand."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from .verb import verb_parsers


def split_overrides(arguments: Sequence[str], parser: argparse.ArgumentParser) -> tuple[list[str], list[str]]:
    """Return arguments for a parser, and settings with their values, which the parser does not know.

    A setting may stand before a file: the argument that follows is its value, as argparse alone could not tell.

    >>> parser = argparse.ArgumentParser()
    >>> parser.add_argument("--fast", action="store_true").dest
    'fast'
    >>> split_overrides(["--persons.shots", "3", "mine.yaml", "--fast"], parser)
    (['mine.yaml', '--fast'], ['--persons.shots', '3'])
    """
    known = {option for each in _parsers(parser) for option in each._option_string_actions}
    given: list[str] = []
    settings: list[str] = []
    awaits_value = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if argument.startswith("--"):
            is_setting = name not in known
            awaits_value = is_setting and not equals
        else:
            is_setting, awaits_value = awaits_value, False
        (settings if is_setting else given).append(argument)
    return given, settings


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for each in verb_parsers(parser).values():
        yield from _parsers(each)


def read_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """Return arguments such as `--a.b VALUE` and `--a.b=VALUE` as a mapping, with values read as YAML.

    Raise `UserError` for a setting without a value, or with one that YAML cannot read.

    >>> read_overrides(["--persons.shots", "3", "--budgets=[0.1, 0.2]"])
    {'persons.shots': 3, 'budgets': [0.1, 0.2]}
    """
    from ..config.plain_yaml import read_yaml
    from ..system.errors import UserError

    overrides: dict[str, Any] = {}
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--"):
            raise UserError(f"unexpected argument {argument!r}: settings are given as --key VALUE")
        key, equals, value = argument[2:].partition("=")
        if not equals:
            value = next(rest, "")
            if value == "" or value.startswith("--"):
                raise UserError(f"--{key} has no value: give it as --{key} VALUE")
        try:
            overrides[key] = read_yaml(value)
        except UserError as error:
            raise UserError(f"--{key} {value}: not a value that YAML can read ({error})") from error
    return overrides

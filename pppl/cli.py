"""The command line: verbs call functions of the same name. Nothing heavy is imported before a verb is chosen."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from . import __version__
from .errors import UserError, unknown
from .verbs import VERBS, Parser

_EXAMPLE = "--training.epochs 5 --persons.shots=10 --budgets '[0.1, 0.2]'"
# The verbs that take an experiment's keys, with an example.
_WITH_SETTINGS = {
    "train": _EXAMPLE,
    "compare": _EXAMPLE,
    "demo": _EXAMPLE,
    "tasks": "--epochs 5 --methods '[full, diff]' --epochs_of.clinc150=2",
    "sweep": "--budget 0.2 --sampler random --seeds '[1000, 1001]'",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 2 for bad input, 1 for rows that differ, 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and not arguments[0].startswith("-") and arguments[0] not in VERBS:
            raise unknown("command", arguments[0], VERBS)
        options, overrides = _parser().parse_known_args(arguments)
        if overrides and options.verb not in _WITH_SETTINGS:
            raise UserError(f"unknown argument {overrides[0]!r}: see `pppl {options.verb} --help`")
        VERBS[options.verb][0](options, _overrides(overrides))
    except UserError as error:
        print(f"pppl: error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a full disk, a folder that went away
        where = f": {error.filename}" if error.filename else ""
        print(f"pppl: error: {error.strerror or error}{where}; what is finished is kept, run it again", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pppl: interrupted; what is finished is kept, the same command goes on from there", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pppl", description="Compare ways of making one global network small and personal.")
    parser.add_argument("--version", action="version", version=f"pppl {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND", parser_class=Parser)
    for name, (_, description, add) in VERBS.items():
        epilog = f"Every key of an experiment can be set: {_WITH_SETTINGS[name]}" if name in _WITH_SETTINGS else None
        add(verbs.add_parser(name, help=description, description=description, epilog=epilog, allow_abbrev=False))
    return parser


def _overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """`--a.b VALUE` and `--a.b=VALUE` as a mapping; values are read as YAML."""
    import yaml

    overrides: dict[str, Any] = {}
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--"):
            raise UserError(f"unexpected argument {argument!r}: settings are given as --key VALUE")
        key, equals, value = argument[2:].partition("=")
        if not equals:
            value = next(rest, "")
            if value == "" or (value.startswith("--") and not value[2:3].isdigit()):
                raise UserError(f"--{key} has no value: give it as --{key} VALUE")
        try:
            overrides[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"--{key} {value}: not a value that YAML can read") from error
    return overrides

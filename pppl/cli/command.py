"""The command line's entry point.

Nothing heavy is imported before a verb is chosen, and hardly anything before Ctrl-C is handled.
"""

import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .console import Interrupted, is_of_printing, nobody_reads, ready_streams, settle, watch_signals

if TYPE_CHECKING:
    import argparse

_EXAMPLE = "--training.epochs 5 --persons.shots=10 --budgets '[0.1, 0.2]'"
# The verbs that take keys of an experiment file, with an example.
_WITH_SETTINGS = {
    "train": _EXAMPLE,
    "compare": _EXAMPLE,
    "demo": _EXAMPLE,
    "tasks": "--epochs 5 --methods '[full, diff]' --epochs_of.clinc150=2",
    "data": "check sensors.csv --data.columns.label activity",
    "groups": "--widths '[8, 16]'",
    "sweep": "--budget 0.2 --sampler random --seeds '[1000, 1001]'",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    The code is 0 for success, 1 for rows that differ, 2 for bad input, and 128 plus the number of the signal that ended
    the command.

    ```python
    main(["compare", "sweeps/compare/digits.yaml", "--fast"])
    ```
    """
    if argv is None:  # this process runs nothing else
        ready_streams()
        watch_signals()
    from ..system.environment import without_launcher, without_variables

    with (
        without_launcher() as hidden,
        without_variables("MPLBACKEND"),  # no window is opened, and the backend may not be installed
    ):
        message, code = _outcome(list(sys.argv[1:] if argv is None else argv), hidden)
    settle(sys.stdout)
    if message:
        from ..system.printable import printable

        with suppress(OSError):  # nobody reads it
            print(f"pppl: {printable(' '.join(message.split()))}", file=sys.stderr)
    settle(sys.stderr)
    return code


def _outcome(arguments: Sequence[str], hidden: Mapping[str, str]) -> tuple[str, int]:
    """Run a command and return its last line for people, which may be empty, and its exit code."""
    from ..system.errors import UserError, explain

    try:
        _run(arguments, hidden)
        sys.stdout.flush()
    except UserError as error:
        return f"error: {error}", error.exit_code
    except KeyboardInterrupt as error:
        interrupted = error if isinstance(error, Interrupted) else Interrupted()
        return str(interrupted), interrupted.code
    except Exception as error:
        if isinstance(error, BrokenPipeError) and nobody_reads():
            return "", 128 + signal.SIGPIPE
        if isinstance(error, OSError) and is_of_printing(error):
            return f"error: the output of this command cannot be written: {error.strerror}", 2
        if explanation := explain(error):  # a full disk, or a folder that was removed
            return f"error: {explanation}", 2
        raise
    return "", 0


def _run(arguments: Sequence[str], hidden: Mapping[str, str]) -> None:
    from ..system.environment import launcher_size
    from ..system.errors import UserError, unknown
    from .verbs import VERBS

    if sys.platform == "win32":
        raise UserError("pppl runs on Linux and macOS; on Windows, use it in WSL")
    if arguments and not arguments[0].startswith("-") and arguments[0] not in VERBS:
        raise unknown("command", arguments[0], VERBS)
    options, overrides = _parser().parse_known_args(arguments)
    if overrides and options.verb not in _WITH_SETTINGS:
        raise UserError(f"unknown argument {overrides[0]!r}: see `pppl {options.verb} --help`")
    if options.verb in _WITH_SETTINGS and (variable := launcher_size(hidden)):
        print(f"pppl: {variable} is ignored: pppl is one process that starts its own --workers", file=sys.stderr)
    VERBS[options.verb][0](options, _overrides(overrides))


def _parser() -> "argparse.ArgumentParser":
    from .. import __version__
    from .verbs import VERBS, Parser

    parser = Parser(prog="pppl", description="Compare ways of making one global network small and personal.")
    parser.add_argument("--version", action="version", version=f"pppl {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND", parser_class=Parser)
    for name, (_, description, add) in VERBS.items():
        epilog = f"Every key of an experiment can be set: {_WITH_SETTINGS[name]}" if name in _WITH_SETTINGS else None
        add(verbs.add_parser(name, help=description, description=description, epilog=epilog, allow_abbrev=False))
    return parser


def _overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """Return arguments such as `--a.b VALUE` and `--a.b=VALUE` as a mapping, with values read as YAML."""
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
            if value == "" or (value.startswith("--") and not value[2:3].isdigit()):
                raise UserError(f"--{key} has no value: give it as --{key} VALUE")
        try:
            overrides[key] = read_yaml(value)
        except UserError as error:
            raise UserError(f"--{key} {value}: not a value that YAML can read ({error})") from error
    return overrides

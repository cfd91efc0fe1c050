"""The command line's entry point.

Nothing heavy is imported before a verb is chosen, and hardly anything before Ctrl-C is handled.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from .console import Interrupted, is_of_printing, nobody_reads, ready_streams, settle, watch_signals

if TYPE_CHECKING:
    import argparse

_OF_FILES = "Every key of the file can be set, as in the examples; `pppl explain` lists all."
# The verbs that take further settings as `--KEY VALUE`, with a note on which.
_WITH_SETTINGS = {
    **dict.fromkeys(("train", "compare", "tasks", "sweep"), _OF_FILES),
    "demo": "Every key of an experiment can be set; `pppl explain` lists all.",
    "data": "`check` takes keys of the section data, as in --data.columns.label activity.",
    "groups": "Arguments of the network's constructor can be set, as in the examples.",
}
_UNREAD = 128 + 13  # the code of SIGPIPE, which Windows does not have
# The verbs that train, start processes or lock files, as Linux and macOS do it.
_NOT_ON_WINDOWS = ("demo", "compare", "tasks", "sweep", "train", "bench")
_NOT_ON_WINDOWS += tuple(f"results {action}" for action in ("merge", "reproduce", "confirm"))


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
            return "", _UNREAD
        if isinstance(error, OSError) and is_of_printing(error):
            return f"error: the output of this command cannot be written: {error.strerror}", 2
        if explanation := explain(error):  # a full disk, or a folder that was removed
            return f"error: {explanation}", 2
        raise
    return "", 0


def _run(arguments: Sequence[str], hidden: Mapping[str, str]) -> None:
    from ..system.environment import launcher_size
    from ..system.errors import UserError, require_unix, unknown
    from .overrides import read_overrides, split_overrides
    from .verb import verb_parsers
    from .verbs import VERBS

    if arguments and not arguments[0].startswith("-") and arguments[0] not in VERBS:
        raise unknown("command", arguments[0], VERBS)
    parser = build_parser()
    given, settings = list(arguments), []
    if arguments and arguments[0] in _WITH_SETTINGS:
        given, settings = split_overrides(arguments, verb_parsers(parser)[arguments[0]])
    options, rest = parser.parse_known_args(given)
    command = f"{options.verb} {getattr(options, 'action', '')}".strip()
    if command in _NOT_ON_WINDOWS:
        require_unix(f"pppl {command}")
    if rest and (rest[0].startswith("-") or options.verb not in _WITH_SETTINGS):
        raise UserError(f"unknown argument {rest[0]!r}: see `pppl {options.verb} --help`")
    if options.verb in _WITH_SETTINGS and (variable := launcher_size(hidden)):
        print(f"pppl: {variable} is ignored: pppl is one process that starts its own --workers", file=sys.stderr)
    VERBS[options.verb][0](options, read_overrides([*rest, *settings]))


def build_parser() -> "argparse.ArgumentParser":
    """Return the parser of the command line. Arguments that it parsed have it as `parser`.

    >>> build_parser().parse_args(["report", "results/demo"]).verb
    'report'
    """
    from .. import __version__
    from .help import CommandParser, describe
    from .verbs import VERBS, Parser

    parser = CommandParser(
        prog="pppl",
        description="Compare ways of making one global network small and personal.",
        verbs={name: text for name, (_, text, _) in VERBS.items()},
    )
    parser.set_defaults(parser=parser)
    parser.add_argument("--version", action="version", version=f"pppl {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND", parser_class=Parser)
    for name, (_, text, add) in VERBS.items():
        verb = verbs.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.", allow_abbrev=False)
        add(verb)
        describe(verb, name, notes=[_WITH_SETTINGS[name]] if name in _WITH_SETTINGS else [])
    return parser

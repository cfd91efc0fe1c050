"""The commands with all their options, from the parsers themselves."""

import argparse
from collections.abc import Iterator

from pppl.cli.command import build_parser
from pppl.cli.verb import verb_parsers

from .markdown import table


def pages() -> Iterator[tuple[str, str]]:
    """Yield the page of all commands."""
    parser = build_parser()
    parts = [
        "# Commands\n",
        "`pppl --help` lists these, `pppl COMMAND --help` has the same as here. Exit codes: 0; 1, rows differ; 2, bad "
        "input or a failing system; 130, Ctrl-C; 141, a closed pipe; 143, terminated. Errors are one line "
        "on standard error.\n",
        *_commands(parser, 2),
    ]
    yield "commands.md", "\n".join(parts)


def _commands(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    for sub in verb_parsers(parser).values():
        yield from _command(sub, level)


def _command(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{parser.prog}`\n"
    yield f"{_text(parser.description)}\n"
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    yield f"```text\n{usage}\n```\n"
    for group in parser._action_groups:
        rows = [row for action in group._group_actions if (row := _row(action))]
        if rows:
            title = group.title or ""
            yield "" if title in ("options", "positional arguments") else f"*{title}*\n"
            yield table(["argument", "meaning"], rows)
    if parser.epilog:
        yield f"```text\n{parser.epilog.strip()}\n```\n"
    yield from _commands(parser, level + 1)


def _row(action: argparse.Action) -> list[str] | None:
    if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)) or action.help is argparse.SUPPRESS:
        return None
    values = f" {_value(action)}" if action.option_strings and action.nargs != 0 else ""
    name = ", ".join(f"`{flag}{values}`" for flag in action.option_strings) or f"`{_value(action)}`"
    return [name, _text(action.help)]


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    if action.metavar:
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _text(text: str | None) -> str:
    return " ".join((text or "").replace("%%", "%").split())

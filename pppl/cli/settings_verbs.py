"""Settings: what each means, and a file to begin with."""

import argparse
import json
from pathlib import Path
from typing import Any

from ..system.errors import UserError
from .completion import SHELLS, completion
from .explanations import KINDS, explain, list_settings
from .verb import Verb, user_path

_NAMES_OF_KINDS = tuple(KINDS)
_BEGINNINGS = Path(__file__).parents[1] / "config" / "beginnings"


def _explain(options: argparse.Namespace, _: dict[str, Any]) -> None:
    if options.schema:
        print(_schema(options.schema))
        return
    print("\n".join(list_settings() if options.key is None else explain(options.key)))


def _schema(kind: str) -> str:
    from ..config.json_schema import json_schema

    return json.dumps(json_schema(KINDS[kind][0]), indent=2)


def _new(options: argparse.Namespace, _: dict[str, Any]) -> None:
    from ..system.files import output_folder, write_bytes

    verb = KINDS[options.kind][1]
    named = options.name.suffix in (".yaml", ".yml")
    path = options.name if named else options.name.with_name(f"{options.name.name}.yaml")
    if path.exists():
        raise UserError(f"{path} is there already: choose another name")
    schema = output_folder(path.parent / ".pppl") / f"{options.kind}.schema.json"
    write_bytes(schema, f"{_schema(options.kind)}\n".encode())
    text = (_BEGINNINGS / f"{options.kind}.yaml").read_text(encoding="utf-8")
    head = f"# yaml-language-server: $schema=.pppl/{schema.name}\n"
    write_bytes(path, (head + text.format(path=path, base=options.base)).encode())
    print(f"{path} has the settings to begin with; run it: {verb} {path}")


def _completion(options: argparse.Namespace, _: dict[str, Any]) -> None:
    print(completion(options.parser, options.shell))


def _add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell that the script is for")


def _add_explain(parser: argparse.ArgumentParser) -> None:
    told = "a setting, a section, a method or a column of the tables; default: all settings"
    parser.add_argument("key", nargs="?", metavar="NAME", help=told)
    parser.add_argument(
        "--schema", choices=_NAMES_OF_KINDS, help="print the JSON schema of the files of a kind, for editors"
    )


def _add_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kind", choices=_NAMES_OF_KINDS, help="compare methods, tune one, or adapt an encoder to text tasks"
    )
    parser.add_argument("name", type=user_path, metavar="NAME", help="of the experiment: NAME.yaml is written")
    parser.add_argument("--base", default="compare.yaml", metavar="FILE", help="the experiment that `tune` searches in")


VERBS: dict[str, Verb] = {
    "new": (_new, "write the file of an experiment to begin with", _add_new),
    "explain": (_explain, "tell what a setting, a method or a column of the tables means", _add_explain),
    "completion": (_completion, "print a script that completes commands in a shell", _add_completion),
}

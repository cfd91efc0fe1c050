"""Settings: what each means, and a file to begin with."""

import argparse
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..config import Experiment, Sweep, TextExperiment, Tree
from ..config.described import Described, describe
from ..system.errors import UserError, unknown
from .completion import SHELLS, completion
from .verb import Verb, user_path

# By the word that `pppl new` takes: the experiment, and the verb that runs its file.
_KINDS: dict[str, tuple[type[Tree], str]] = {
    "compare": (Experiment, "pppl compare"),
    "tune": (Sweep, "pppl sweep"),
    "tasks": (TextExperiment, "pppl tasks"),
}
_NAMES_OF_KINDS = tuple(_KINDS)
_WIDTH = 100
_BEGINNINGS = Path(__file__).parents[1] / "config" / "beginnings"


def _explain(options: argparse.Namespace, _: dict[str, Any]) -> None:
    if options.schema:
        print(_schema(options.schema))
        return
    print("\n".join(_list_all() if options.key is None else _tell(options.key)))


def _schema(kind: str) -> str:
    from ..config.json_schema import json_schema

    return json.dumps(json_schema(_KINDS[kind][0]), indent=2)


def _list_all() -> Iterator[str]:
    for kind, verb in _KINDS.values():
        top = [each for key, each in describe(kind).items() if "." not in key]
        yield f"{verb} FILE"
        yield from (_line(each) for each in top)
        yield ""
    yield "More about one: pppl explain KEY, such as persons.shots or ppp"


def _tell(key: str) -> Iterator[str]:
    """Yield what there is to say of a key, or of all keys that end so."""
    found = [(verb, settings, each) for kind, verb in _KINDS.values() for settings, each in _named(key, describe(kind))]
    if not found:
        raise unknown("key", key, {each for kind, _ in _KINDS.values() for each in describe(kind)})
    for verb, settings, setting in found:
        yield f"{setting.key}, in a file of `{verb}`: {_type_and_default(setting)}"
        yield from textwrap.wrap(setting.text, _WIDTH, initial_indent="  ", subsequent_indent="  ")
        yield from (f"  Values: {rule}." for rule in setting.rules)
        if setting.key == "methods" and verb == "pppl compare":
            yield from _names()
        if setting.is_section:
            yield from (_line(each) for name, each in settings.items() if name.startswith(f"{setting.key}."))


def _names() -> Iterator[str]:
    """Yield the names of methods and steps, those of installed packages among them."""
    from ..personalizers import METHODS, STEPS

    for what, names in (("Methods", METHODS), ("Steps after any of them", [f"+{step}" for step in STEPS])):
        yield from textwrap.wrap(f"{what}: {', '.join(names)}.", _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _named(key: str, settings: Mapping[str, Described]) -> list[tuple[Mapping[str, Described], Described]]:
    exact = [settings[key]] if key in settings else []
    return [(settings, each) for each in exact or [each for name, each in settings.items() if name.endswith(f".{key}")]]


def _line(setting: Described) -> str:
    first = setting.text.partition(". ")[0].rstrip(".:")
    return f"  {setting.key:<34}{textwrap.shorten(first, _WIDTH - 36, placeholder=' ...')}"


def _type_and_default(setting: Described) -> str:
    if setting.is_section:
        return setting.type_name
    return f"{setting.type_name}; {setting.default_text} if it is left out"


def _new(options: argparse.Namespace, _: dict[str, Any]) -> None:
    from ..system.files import output_folder, write_bytes

    verb = _KINDS[options.kind][1]
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
    parser.add_argument(
        "key", nargs="?", metavar="KEY", help="a setting, such as persons.shots, or a section; default: all"
    )
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
    "explain": (_explain, "tell what a setting means, its type, default and values", _add_explain),
    "completion": (_completion, "print a script that completes commands in a shell", _add_completion),
}

"""Completion of commands in a shell: verbs, options, files, and the settings of experiments."""

import argparse
from collections.abc import Iterator

from ..config import Experiment, Sweep, TextExperiment, Tree
from ..config.described import Described, describe
from .verb import verb_parsers

SHELLS = ("bash", "zsh", "fish")
# By verb, the kind of file whose keys it takes as options.
_KINDS: dict[str, type[Tree]] = {
    **dict.fromkeys(("demo", "compare", "train"), Experiment),
    "tasks": TextExperiment,
    "sweep": Sweep,
}


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return a script that completes `pppl` in a shell.

    ```python
    print(completion(build_parser(), "bash"))
    ```

    **Arguments:**

    - `parser`: of the command line; settings and kinds of files are added to it.
    - `shell`: one of `SHELLS`.
    """
    import shtab

    for verb, each in verb_parsers(parser).items():
        for key, setting in describe(_KINDS[verb]).items() if verb in _KINDS else ():
            if not setting.is_section and f"--{key}" not in each._option_string_actions:
                each.add_argument(f"--{key}", help=_first_sentence(setting))
    for action in _actions(parser):
        if kind := _file_kind(str(action.metavar)):
            action.complete = getattr(shtab, kind)  # pyright: ignore[reportAttributeAccessIssue]
    return shtab.complete(parser, shell=shell)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    yield from parser._actions
    for each in verb_parsers(parser).values():
        yield from _actions(each)


def _file_kind(metavar: str) -> str:
    """Return what an argument takes, by its name in the help: `DIRECTORY`, `FILE` or, if neither, nothing."""
    if "FILE" in metavar or ".yaml" in metavar or ".onnx" in metavar:
        return "FILE"
    return "DIRECTORY" if "DIR" in metavar else ""


def _first_sentence(setting: Described) -> str:
    return setting.text.partition(". ")[0].rstrip(".:").replace("%", "%%")

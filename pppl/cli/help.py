"""The texts of `--help`: verbs in groups, and examples that run as they stand."""

import argparse
import textwrap
from collections.abc import Iterable, Mapping

from .verb import Parser

# All verbs, in the order in which somebody meets them.
GROUPS: dict[str, tuple[str, ...]] = {
    "begin": ("demo", "new", "explain", "data"),
    "compare": ("compare", "tasks", "sweep", "train"),
    "results": ("report", "figures", "results"),
    "device": ("groups", "personalize", "predict", "latency"),
    "this machine": ("bench", "completion"),
}
# Commands for each verb, and for `pppl` itself under an empty name; those of one verb can be run one after the other.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "": (
        "pppl demo                      # three minutes: every family, with a report",
        "pppl new compare mine          # write mine.yaml, a file to edit",
        "pppl compare mine.yaml --fast  # run it, here as a preview in a minute",
    ),
    "demo": ("pppl demo", "pppl demo --seeds '[0]' --persons.count 3 --out results/quick"),
    "new": (
        "pppl new compare mine",
        "pppl new tune search --base mine.yaml",
        "pppl new tasks texts",
    ),
    "explain": (
        "pppl explain",
        "pppl explain persons.shots",
        "pppl explain l1_local+retrain",
        "pppl explain --schema compare",
    ),
    "data": ("pppl data list", "pppl data check digits", "pppl data prepare digits"),
    "compare": (
        "pppl new compare mine && pppl compare mine.yaml --fast",
        "pppl compare mine.yaml --workers 2 --training.epochs 5 --budgets '[0.1, 0.2]'",
        "pppl compare mine.yaml --data my.npz --persons.shots=10",
    ),
    "tasks": (
        "pppl new tasks texts && pppl tasks texts.yaml",
        "pppl tasks texts.yaml --epochs 5 --methods '[full, diff]'",
    ),
    "sweep": (
        "pppl new compare mine && pppl new tune search --base mine.yaml",
        "pppl sweep search.yaml --trials 20 --hours 8",
        "pppl sweep search.yaml --budget 0.2 --sampler random --seeds '[1000, 1001]'",
        "pppl sweep search.yaml --status",
    ),
    "train": ("pppl train mine.yaml --methods '[full, ppp]' --seeds '[0]'",),
    "report": ("pppl report results/demo", "pppl report results/demo --out page.html"),
    "figures": ("pppl figures results/demo", "pppl figures results/demo --style ieee --out paper"),
    "results": (
        "pppl results check results/demo",
        "pppl results answers results/demo",
        "pppl results merge results/one results/two --out results/both",
    ),
    "groups": (
        "pppl groups resnet20 --shape 3 32 32",
        "pppl groups nets.py:Net --shape 1 8 8 --width 32",
    ),
    "personalize": (
        "pppl train mine.yaml --methods '[ppp]' --seeds '[0]'",
        "pppl personalize results/mine-train --data anna.npz --budget 0.25 --out anna",
    ),
    "predict": ("pppl predict anna/personal.onnx one.png two.png",),
    "latency": ("pppl latency anna/personal.onnx --threads 2",),
    "bench": ("pppl bench surgery", "pppl bench --json bench.json"),
    "completion": (
        "pppl completion bash > ~/.local/share/bash-completion/completions/pppl",
        "pppl completion zsh > ~/.zfunc/_pppl",
        "pppl completion fish > ~/.config/fish/completions/pppl.fish",
    ),
}
_WIDTH = 80


class CommandParser(Parser):
    """The parser of `pppl` itself, whose help lists the verbs in groups.

    **Arguments:**

    - `verbs`: one line on each verb, by name.
    - `options`: arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, *, verbs: Mapping[str, str], **options: object):
        super().__init__(**options)  # pyright: ignore[reportArgumentType]
        self._verbs = verbs

    def format_help(self) -> str:
        """Return usage, the verbs in groups, and examples."""
        parts = [self.format_usage().rstrip(), self.description or ""]
        for title, names in GROUPS.items():
            parts.append("\n".join([f"{title}:", *(_entry(name, self._verbs[name]) for name in names)]))
        parts += [examples(""), "`pppl COMMAND --help` has the options of each, with examples."]
        return "\n\n".join(parts) + "\n"


def examples(verb: str) -> str:
    """Return the examples of a verb as they stand below its help.

    >>> examples("predict").splitlines()[-1]
    '  pppl predict anna/personal.onnx one.png two.png'
    """
    return "\n".join(["examples:", *(f"  {line}" for line in EXAMPLES.get(verb, ()))])


def describe(parser: argparse.ArgumentParser, verb: str, *, notes: Iterable[str] = ()) -> None:
    """Put notes and the verb's examples below the help of its parser, with lines as they are."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n\n".join([*(textwrap.fill(note, _WIDTH) for note in notes), examples(verb)])


def _entry(name: str, text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=f"  {name:<13}", subsequent_indent=" " * 15)

"""Every setting with type, default, values and meaning, from the dataclasses."""

from collections.abc import Iterator

from pppl import Experiment, Sweep, TextExperiment
from pppl.config.described import Described, describe

from .markdown import table

_KINDS = (
    ("compare", Experiment, "A comparison on persons: `pppl compare`, `pppl train`, `pppl demo`"),
    ("tasks", TextExperiment, "A comparison on text tasks: `pppl tasks`"),
    ("sweep", Sweep, "A sweep: `pppl sweep`"),
)


def pages() -> Iterator[tuple[str, str]]:
    """Yield the page of all settings."""
    parts = [
        "# Settings\n",
        "An experiment's file holds what differs from these defaults; `--KEY VALUE` on the command line wins over the "
        "file. `pppl explain KEY` prints a line of this page, `pppl new compare NAME` writes a file to begin with.\n",
    ]
    for anchor, kind, title in _KINDS:
        parts += [f"({anchor}-settings)=\n## {title}\n", *_sections(describe(kind))]
    yield "settings.md", "\n".join(parts)


def _sections(settings: dict[str, Described]) -> Iterator[str]:
    top = [each for key, each in settings.items() if "." not in key and not each.is_section]
    yield _table(top)
    for key, section in settings.items():
        if section.is_section:
            yield f"### `{key}`\n\n{section.text}\n"
            inside = [e for name, e in settings.items() if name.rpartition(".")[0] == key and not e.is_section]
            yield _table(inside) if inside else ""


def _table(settings: list[Described]) -> str:
    rows = [[f"`{each.key}`", each.type_name, f"`{each.default_text}`", _meaning(each)] for each in settings]
    return table(["key", "type", "default", "meaning"], rows)


def _meaning(setting: Described) -> str:
    """Return what a setting means, as sentences, and which values it takes."""
    return " ".join([setting.text[:1].upper() + setting.text[1:], *(f"Values: {rule}." for rule in setting.rules)])

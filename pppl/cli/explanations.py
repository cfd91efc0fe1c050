"""What `pppl explain` tells of a setting, a method, a step or a column of the tables."""

import difflib
import textwrap
from collections.abc import Iterator, Mapping

from ..config import Experiment, Sweep, TextExperiment, Tree
from ..config.described import Described, describe
from ..system.errors import UserError, unknown

# By the word that `pppl new` takes: the experiment, and the verb that runs its file.
KINDS: dict[str, tuple[type[Tree], str]] = {
    "compare": (Experiment, "pppl compare"),
    "tune": (Sweep, "pppl sweep"),
    "tasks": (TextExperiment, "pppl tasks"),
}
_WIDTH = 100


def list_settings() -> Iterator[str]:
    """Yield lines: the settings of each kind of file, sections without their keys.

    >>> next(list_settings())
    'pppl compare FILE'
    """
    for kind, verb in KINDS.values():
        top = [each for key, each in describe(kind).items() if "." not in key]
        yield f"{verb} FILE"
        yield from (_line(each) for each in top)
        yield ""
    yield "More about one: pppl explain KEY, such as persons.shots or ppp; or of a method, such as l1_local+retrain, or"
    yield "of a column of the tables, such as macs_fraction"


def explain(name: str) -> Iterator[str]:
    """Yield lines on all that has this name: settings, or those that end so, methods with their steps, and columns.

    >>> [line.strip() for line in explain("macs_fraction")][1]
    "Multiply-accumulates of the personal network for one sample, relative to the full network's."

    Raise `UserError` with the nearest name if there is none.
    """
    from ..personalizers.method_texts import CONTROL_TEXTS
    from ..tables.schema import COLUMN_TYPES

    lines = [*_of_settings(name), *_of_methods(name), *_of_control(name), *_of_column(name)]
    if not lines:
        keys = {each for kind, _ in KINDS.values() for each in describe(kind)}
        names = {*keys, *_names_of_methods(), *CONTROL_TEXTS, *COLUMN_TYPES}
        if not difflib.get_close_matches(name, names, n=1, cutoff=0.5):
            raise UserError(f"there is no setting, method or column {name!r}: `pppl explain` lists all settings")
        raise unknown("setting, method or column", name, names)
    yield from lines


def _of_settings(key: str) -> Iterator[str]:
    for kind, verb in KINDS.values():
        settings = describe(kind)
        for setting in _named(key, settings):
            yield f"{setting.key}, in a file of `{verb}`: {_type_and_default(setting)}"
            yield from _indented(setting.text)
            yield from (f"  Values: {rule}." for rule in setting.rules)
            if setting.key == "methods" and kind is Experiment:
                yield from _all_methods()
            if setting.is_section:
                yield from (_line(each) for each in settings.values() if each.key.startswith(f"{setting.key}."))


def _named(key: str, settings: Mapping[str, Described]) -> list[Described]:
    exact = [settings[key]] if key in settings else []
    return exact or [each for name, each in settings.items() if name.endswith(f".{key}")]


def _all_methods() -> Iterator[str]:
    """Yield the names of methods and steps, those of installed packages among them."""
    from ..personalizers import METHODS, STEPS

    for what, names in (("Methods", METHODS), ("Steps after any of them", [f"+{step}" for step in STEPS])):
        yield from _indented(f"{what}: {', '.join(names)}.")


def _names_of_methods() -> set[str]:
    from ..personalizers import METHODS, STEPS

    return {*METHODS, *(f"+{step}" for step in STEPS)}


def _of_methods(name: str) -> Iterator[str]:
    """Yield lines on a method and on each step behind it, without the names of variants."""
    from ..personalizers.method_texts import tell_method

    first, *steps = (stage.partition("@")[0] for stage in name.split("+"))
    stages = [*filter(None, [first]), *(f"+{step}" for step in steps)]
    if not stages or not {*stages} <= _names_of_methods():
        return
    for stage in stages:
        told = tell_method(stage)
        yield f"{stage}, a {'step' if stage.startswith('+') else 'method'}"
        yield from _indented(f"{told.text[:1].upper()}{told.text[1:]}.")
        needs = "reads labels of the person" if told.reads_labels else "reads no labels of the person"
        trains = "trains on the person's samples" if told.trains else "does not train on the person's samples"
        controls = f"; controls: {', '.join(told.controls)}" if told.controls else ""
        yield from _indented(f"It {needs} and {trains}{controls}.")


def _of_control(name: str) -> Iterator[str]:
    from ..personalizers.method_texts import CONTROL_TEXTS

    if name in CONTROL_TEXTS:
        yield f"{name}, a control of methods that look at the person's samples"
        yield from _indented(CONTROL_TEXTS[name])


def _of_column(name: str) -> Iterator[str]:
    from ..tables.column_texts import COLUMN_TEXTS
    from ..tables.schema import COLUMN_TYPES

    plain = name if name in COLUMN_TEXTS else name.removesuffix("_low").removesuffix("_high")
    if plain in COLUMN_TEXTS and (plain == name or COLUMN_TYPES[plain].kind == "number"):
        yield f"{name}, a column of the tables"
        end = "" if plain == name else f"{'Lower' if name.endswith('_low') else 'Upper'} end of the 95 % interval of: "
        yield from _indented(f"{end}{COLUMN_TEXTS[plain]}")


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _line(setting: Described) -> str:
    first = setting.text.partition(". ")[0].rstrip(".:")
    return f"  {setting.key:<34}{textwrap.shorten(first, _WIDTH - 36, placeholder=' ...')}"


def _type_and_default(setting: Described) -> str:
    if setting.is_section:
        return setting.type_name
    return f"{setting.type_name}; {setting.default_text} if it is left out"

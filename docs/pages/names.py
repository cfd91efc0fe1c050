"""Public names with their signatures and docstrings, one page for each module that lists some."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from .markdown import docstring

PUBLIC = ("pppl", "pppl.figures", "pppl.report", "pppl.deploy", "pppl.diff", "pppl.text", "pppl.tables")


def pages() -> Iterator[tuple[str, str]]:
    """Yield an index, and a page for each public module."""
    for module in PUBLIC:
        yield f"api/{module}.md", _page(module)
    listed = "\n".join(PUBLIC)
    yield (
        "api/index.md",
        "# Python\n\nWhat these modules list is public, and nothing else is. Everything loads on first use, so that "
        f"`import pppl` takes no time.\n\n```{{toctree}}\n\n{listed}\n```\n",
    )


def _page(module: str) -> str:
    loaded = import_module(module)
    parts = [f"# `{module}`\n", f"{docstring(inspect.getdoc(loaded) or '')}\n"]
    parts += [_name(module, name, getattr(loaded, name)) for name in sorted(loaded.__all__, key=str.lower)]
    return "\n".join(parts)


def _name(module: str, name: str, value: Any) -> str:
    text = docstring(inspect.getdoc(value) or "")
    kind = "class" if inspect.isclass(value) else "function"
    parts = [f"## {name}\n", f"::::::{{py:{kind}}} {name}{_signature(value)}\n:module: {module}\n", f"{text}\n"]
    if inspect.isclass(value):
        parts += [_member(attribute, each) for attribute, each in _members(value)]
    return "\n".join([*parts, "::::::\n"])


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield a class's own public methods and properties that say what they do."""
    for attribute, each in vars(kind).items():
        callable_ = inspect.isfunction(each) or isinstance(each, (classmethod, staticmethod, property))
        if not attribute.startswith("_") and callable_ and inspect.getdoc(each):
            yield attribute, each


def _member(attribute: str, value: Any) -> str:
    text = docstring(inspect.getdoc(value) or "")
    if isinstance(value, property):
        return f":::::{{py:property}} {attribute}\n\n{text}\n:::::\n"
    function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
    option = ":classmethod:\n" if isinstance(value, classmethod) else ""
    option = ":staticmethod:\n" if isinstance(value, staticmethod) else option
    is_bound = not isinstance(value, staticmethod)
    return f":::::{{py:method}} {attribute}{_signature(function, bound=is_bound)}\n{option}\n{text}\n:::::\n"


def _signature(value: Any, *, bound: bool = False) -> str:
    """Return the arguments with their defaults. Types are left out: the text tells them."""
    try:
        parameters = list(inspect.signature(value).parameters.values())[1 if bound else 0 :]
    except (TypeError, ValueError):
        return "()"
    plain = [each.replace(annotation=inspect.Parameter.empty, default=_short(each.default)) for each in parameters]
    return str(inspect.Signature(plain))


class _Shown(str):
    """Text that stands in a signature as it is."""

    def __repr__(self) -> str:
        return str(self)


def _short(default: Any) -> Any:
    if default is inspect.Parameter.empty:
        return default
    text = repr(default)
    return _Shown(text if len(text) <= 40 and " object at " not in text and "\n" not in text else "...")

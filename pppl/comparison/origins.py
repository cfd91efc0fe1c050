"""What code classes, functions and values come from: this package's by name, users' modules and notebooks by source."""

import ast
import dataclasses
import functools
import inspect
import reprlib
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from ..system.tracking import notice
from .source import PACKAGE, CodeText, collect_texts, digest

_INSTALLED = {"site-packages", "dist-packages"}  # folders of what is nobody's own
# Files whose functions a dataclass gets that nobody has written.
_GENERATED = {"<string>", dataclasses.__file__, reprlib.__file__}
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))


def code_hash(*roots: object, whole: Sequence[object] = (), alone: Sequence[object] = ()) -> str:
    """A hash of the code that classes, functions and other objects come from, and of what that reaches.

    In this package it follows definitions (`collect_texts`). Elsewhere it follows names into whatever is the user's:
    into modules that are not installed, and into those that lie beside a root.

    **Arguments:**

    - `roots`: any objects; of an instance its class and what it holds.
    - `whole`: more of them, of whose modules all counts where they are this package's.
    - `alone`: functions of this package, of which nothing is followed.
    """
    walk = _Walk()
    for root in (*roots, *whole):
        walk.homes.add(_home(root))
    for root in whole:
        walk.of_package |= {_module_of(root)} if _home(root) == PACKAGE else set()
        walk.visit(root)
    for root in roots:
        walk.visit(root)
    texts = collect_texts(walk.of_package, [_named(each) for each in alone]) | walk.texts
    return digest("\n".join(sorted(texts)))


def _module_of(value: object) -> str:
    return str(getattr(value if callable(value) else type(value), "__module__", None) or "")


def _home(value: object) -> str:
    """The top package that an object belongs to."""
    value = value.func if isinstance(value, functools.partial) else value
    return _module_of(value).partition(".")[0]


def _named(value: Any) -> str:
    """The definition of this package that an object is made by."""
    return f"{value.__module__}:{value.__qualname__.partition('.')[0]}"


class _Walk:
    """Collects definitions of this package, and texts of all that is the user's."""

    def __init__(self) -> None:
        self.of_package: set[str] = set()
        self.texts: set[str] = set()
        self.homes: set[str] = set()
        self._seen: dict[int, object] = {}  # which keeps them, so that no other takes their place

    def visit(self, value: Any, name: str = "") -> None:
        """Takes in an object that goes by a name."""
        if isinstance(value, _PLAIN):
            if name:
                self.texts.add(f"{name} = {value!r}")
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, torch.Tensor | np.ndarray):
            array = np.ascontiguousarray(value.detach().cpu().float() if isinstance(value, torch.Tensor) else value)
            self.texts.add(f"{name} = {digest(repr(array.tolist()))}")
        elif isinstance(value, type):
            for each in value.__mro__:
                self._type(each)
        elif isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, Mapping):
            for key, each in value.items():
                self.visit(each, f"{name}[{key!r}]")
        elif isinstance(value, list | tuple | set | frozenset):
            for at, each in enumerate(sorted(value, key=repr) if isinstance(value, set | frozenset) else value):
                self.visit(each, f"{name}[{at}]")
        else:
            self._other(value)

    def _other(self, value: Any) -> None:
        match value:
            case staticmethod() | classmethod() | MethodType():
                parts = {"": value.__func__, "self": getattr(value, "__self__", None)}
            case functools.partial():
                parts = {"": value.func, "args": value.args, "keywords": value.keywords}
            case property():
                parts = {"get": value.fget, "set": value.fset}
            case functools.cached_property():
                parts = {"": value.func}
            case _:
                known = _home(value) == PACKAGE or self._is_users(value)
                parts = {"": type(value), **vars(value)} if known and hasattr(value, "__dict__") else {}
        for name, part in parts.items():
            self.visit(part, f"{type(value).__qualname__}.{name}")

    def _is_users(self, value: object) -> bool:
        module = _module_of(value)
        home = module.partition(".")[0]
        if home in ("", PACKAGE) or home in sys.stdlib_module_names:
            return False
        file = getattr(sys.modules.get(module), "__file__", None)
        installed = file is None or not _INSTALLED.isdisjoint(Path(file).parts)
        return home == "__main__" or home in self.homes or not installed

    def _type(self, kind: type) -> None:
        if _home(kind) == PACKAGE:
            self._add(kind)
        elif self._is_users(kind):
            generated = _GENERATED if dataclasses.is_dataclass(kind) else ()
            self.texts.add(f"class {kind.__qualname__}")
            for name, value in vars(kind).items():
                function = getattr(value, "__code__", None)
                if function is not None and function.co_filename in generated:
                    continue  # made of the fields, which are told
                if function is not None or not (name.startswith("__") or name == "_abc_impl"):
                    self.visit(value, f"{kind.__qualname__}.{name}")

    def _function(self, function: FunctionType) -> None:
        if _home(function) == PACKAGE:
            self._add(function)
            for name, cell in _cells(function).items():
                self.visit(cell, f"{function.__qualname__}.{name}")
        elif self._is_users(function):
            name = function.__qualname__
            said = _said(function)
            self.texts.add(f"{name}: {said.text}")
            self.visit(function.__defaults__, f"{name} default")
            self.visit(function.__kwdefaults__, f"{name} default")
            self.visit(getattr(function, "__wrapped__", None))
            known = {**function.__globals__, **_cells(function)}
            for each in sorted(said.names & known.keys()):
                self._reached(known[each], each, said)

    def _reached(self, value: Any, name: str, said: CodeText) -> None:
        if not isinstance(value, ModuleType):
            return self.visit(value, name)
        for module, attribute in sorted(said.attributes):
            if module == name and hasattr(value, attribute):
                self._reached(getattr(value, attribute), f"{name}.{attribute}", said)

    def _add(self, value: Any) -> None:
        """A definition of this package; of a lambda at the top of a module, all of that."""
        named = _named(value)
        self.of_package.add(named if "<" not in named else value.__module__)


def _cells(function: FunctionType) -> dict[str, Any]:
    """What a function has from the one that it was made in."""
    cells: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # one that is empty still
            cells[name] = cell.cell_contents
    return cells


@functools.lru_cache(maxsize=1000)  # a notebook's cell that is run again makes another function
def _said(function: FunctionType) -> CodeText:
    """What the source of a function says; where there is none, its bytecode."""
    said = CodeText()
    try:
        said.read(ast.parse(textwrap.dedent(inspect.getsource(function))))
    except (OSError, TypeError):
        what = f"{function.__module__}.{function.__qualname__}"
        why = "its bytecode counts, which another Python makes anew"
        notice(f"{what} has no source that can be read: {why}; put it into a file")
        return _compiled(function.__code__)
    except SyntaxError:  # a lambda amid other lines
        return _compiled(function.__code__)
    return said


def _compiled(code: CodeType) -> CodeText:
    inner = [_compiled(each) for each in code.co_consts if isinstance(each, CodeType)]
    plain = [each for each in code.co_consts if not isinstance(each, CodeType)]
    consts = [repr(sorted(map(repr, each)) if isinstance(each, frozenset) else each) for each in plain]
    tokens = [code.co_code.hex(), *consts, *code.co_names, *(each.text for each in inner)]
    names = {*code.co_names, *code.co_freevars}.union(*(each.names for each in inner))
    return CodeText(tokens, names, {(one, other) for one in names for other in names})

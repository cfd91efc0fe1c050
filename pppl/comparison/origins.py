"""The hash of the code behind objects: this package's definitions by name, users' modules and notebooks by source."""

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

_INSTALLED = {"site-packages", "dist-packages"}  # folders of installed packages, whose code is not the user's
# Files of functions that `dataclass` generates.
_GENERATED = {"<string>", dataclasses.__file__, reprlib.__file__}
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))


def code_hash(*roots: object, whole: Sequence[object] = (), alone: Sequence[object] = ()) -> str:
    """Return the hash of the code that classes, functions and other objects come from, and of the code it uses.

    Code of this package is followed by its definitions (`collect_texts`). Names elsewhere are followed into the user's
    code: into modules that are not installed, and into modules of the same top package as a root.

    **Arguments:**

    - `roots`: any objects; for an instance, its class and its attributes count.
    - `whole`: more roots; for those of this package, their whole modules count.
    - `alone`: functions of this package that count without the code they use.
    """
    walk = _Walk()
    for root in (*roots, *whole):
        walk.homes.add(_top_package(root))
    for root in whole:
        walk.definitions |= {_module_of(root)} if _top_package(root) == PACKAGE else set()
        walk.visit(root)
    for root in roots:
        walk.visit(root)
    texts = collect_texts(walk.definitions, [_definition_name(each) for each in alone]) | walk.texts
    return digest("\n".join(sorted(texts)))


def _module_of(value: object) -> str:
    """Return the name of the module that an object, or its class, is defined in."""
    return str(getattr(value if callable(value) else type(value), "__module__", None) or "")


def _top_package(value: object) -> str:
    """Return the top package that an object belongs to."""
    value = value.func if isinstance(value, functools.partial) else value
    return _module_of(value).partition(".")[0]


def _definition_name(value: Any) -> str:
    """Return the definition of this package that an object comes from, as `module:name`."""
    return f"{value.__module__}:{value.__qualname__.partition('.')[0]}"


class _Walk:
    """The walk through objects: it collects definitions of this package and texts of the user's code."""

    def __init__(self) -> None:
        self.definitions: set[str] = set()
        self.texts: set[str] = set()
        self.homes: set[str] = set()
        self._seen: dict[int, object] = {}  # keeps objects alive, since ids of dead ones are used again

    def visit(self, value: Any, name: str = "") -> None:
        """Collect an object under the name that code uses for it."""
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
                self._visit_class(each)
        elif isinstance(value, FunctionType):
            self._visit_function(value)
        elif isinstance(value, Mapping):
            for key, each in value.items():
                self.visit(each, f"{name}[{key!r}]")
        elif isinstance(value, list | tuple | set | frozenset):
            for at, each in enumerate(sorted(value, key=repr) if isinstance(value, set | frozenset) else value):
                self.visit(each, f"{name}[{at}]")
        else:
            self._visit_parts(value)

    def _visit_parts(self, value: Any) -> None:
        """Collect the parts of a descriptor, a bound method, a partial function or an instance."""
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
                followed = _top_package(value) == PACKAGE or self._is_user_code(value)
                parts = {"": type(value), **vars(value)} if followed and hasattr(value, "__dict__") else {}
        for name, part in parts.items():
            self.visit(part, f"{type(value).__qualname__}.{name}")

    def _is_user_code(self, value: object) -> bool:
        """Return whether an object is the user's own code."""
        module = _module_of(value)
        home = module.partition(".")[0]
        if home in ("", PACKAGE) or home in sys.stdlib_module_names:
            return False
        file = getattr(sys.modules.get(module), "__file__", None)
        installed = file is None or not _INSTALLED.isdisjoint(Path(file).parts)
        return home == "__main__" or home in self.homes or not installed

    def _visit_class(self, kind: type) -> None:
        """Collect a class and its attributes."""
        if _top_package(kind) == PACKAGE:
            self._add(kind)
        elif self._is_user_code(kind):
            generated = _GENERATED if dataclasses.is_dataclass(kind) else ()
            self.texts.add(f"class {kind.__qualname__}")
            for name, value in vars(kind).items():
                function = getattr(value, "__code__", None)
                if function is not None and function.co_filename in generated:
                    continue  # generated from the fields, which count themselves
                if function is not None or not (name.startswith("__") or name == "_abc_impl"):
                    self.visit(value, f"{kind.__qualname__}.{name}")

    def _visit_function(self, function: FunctionType) -> None:
        """Collect a function, its defaults and the values of its names."""
        if _top_package(function) == PACKAGE:
            self._add(function)
            for name, cell in _closure_values(function).items():
                self.visit(cell, f"{function.__qualname__}.{name}")
        elif self._is_user_code(function):
            name = function.__qualname__
            code_text = _source_text(function)
            self.texts.add(f"{name}: {code_text.text}")
            self.visit(function.__defaults__, f"{name} default")
            self.visit(function.__kwdefaults__, f"{name} default")
            self.visit(getattr(function, "__wrapped__", None))
            namespace = {**function.__globals__, **_closure_values(function)}
            for each in sorted(code_text.names & namespace.keys()):
                self._visit_name(namespace[each], each, code_text)

    def _visit_name(self, value: Any, name: str, code_text: CodeText) -> None:
        """Collect the value of a name; of a module, only the attributes that the code uses."""
        if not isinstance(value, ModuleType):
            return self.visit(value, name)
        for module, attribute in sorted(code_text.attributes):
            if module == name and hasattr(value, attribute):
                self._visit_name(getattr(value, attribute), f"{name}.{attribute}", code_text)

    def _add(self, value: Any) -> None:
        """Collect a definition of this package; for a lambda at the top of a module, the whole module."""
        named = _definition_name(value)
        self.definitions.add(named if "<" not in named else value.__module__)


def _closure_values(function: FunctionType) -> dict[str, Any]:
    """Return the values of a function's closure, by name."""
    cells: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # the cell is still empty
            cells[name] = cell.cell_contents
    return cells


@functools.lru_cache(maxsize=1000)  # a notebook cell that runs again defines another function
def _source_text(function: FunctionType) -> CodeText:
    """Return the code text of a function's source; without a source, that of its bytecode."""
    code_text = CodeText()
    try:
        code_text.read(ast.parse(textwrap.dedent(inspect.getsource(function))))
    except (OSError, TypeError):
        qualified_name = f"{function.__module__}.{function.__qualname__}"
        reason = "its bytecode is hashed, which changes with the version of Python"
        notice(f"{qualified_name} has no source that can be read: {reason}; put it into a file")
        return _bytecode_text(function.__code__)
    except SyntaxError:  # the source of a lambda within an expression is not a statement
        return _bytecode_text(function.__code__)
    return code_text


def _bytecode_text(code: CodeType) -> CodeText:
    """Return the code text of bytecode."""
    inner = [_bytecode_text(each) for each in code.co_consts if isinstance(each, CodeType)]
    plain = [each for each in code.co_consts if not isinstance(each, CodeType)]
    consts = [repr(sorted(map(repr, each)) if isinstance(each, frozenset) else each) for each in plain]
    tokens = [code.co_code.hex(), *consts, *code.co_names, *(each.text for each in inner)]
    names = {*code.co_names, *code.co_freevars}.union(*(each.names for each in inner))
    return CodeText(tokens, names, {(one, other) for one in names for other in names})

"""What code of this package something depends on, as a hash: of what definitions say, not of how they are written.

Comments, docstrings, layout, annotations, messages of errors, and the modules that definitions stand in do not count.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

PACKAGE = __name__.partition(".")[0]
_FOLDER = Path(__file__).resolve().parents[1]
# What tells, keeps or names results, and registries, by which all methods would depend on each other. Whoever depends
# on an entry of a registry names that entry.
_LEFT_OUT = (
    *("tables", "figures", "report", "comparison", "config.reading"),
    *("system.errors", "system.files", "system.progress", "system.printable"),
    *("system.processes", "system.memory", "system.tracking"),
    *("personalizers.methods", "personalizers.shown", "backbones.registry", "text.text_methods"),
    *("data.catalogue", "data.download", "data.unpack", "data.prepare"),
)
# Settings: their values are known to whoever asks; only what they compute is code.
_SETTINGS = f"{PACKAGE}.config"
_UNREAD = {"annotation", "returns", "type_comment", "type_params", "simple", "ctx", "kind"}


@dataclass
class CodeText:
    """What a piece of code says, and the names by which it says it: alone, and with an attribute."""

    tokens: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    attributes: set[tuple[str, str]] = field(default_factory=set)

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(self.tokens)

    def read(self, node: Any) -> None:
        """Adds what a node says."""
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Import() | ast.ImportFrom():
                return  # what an import binds is told where it is used
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return
            case ast.Call(func=ast.Name(id="cast"), args=[_, value]):
                return self.read(value)
            case ast.Raise(exc=ast.Call(func=raised)):
                node = ast.Raise(exc=raised)
            case ast.Assert():
                node = ast.Assert(test=node.test)
            case ast.Name(id=name):
                self.names.add(name)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                self.attributes.add((name, attribute))
            case _:
                pass
        self.tokens += ["(", type(node).__name__]
        for name, value in ast.iter_fields(node):
            if name not in _UNREAD and value is not None and value != []:
                self.tokens.append(f"{name}=")
                for part in value if isinstance(value, list) else [value]:
                    self._part(part)
        self.tokens.append(")")

    def _part(self, part: Any) -> None:
        if isinstance(part, ast.AST):
            self.read(part)
        else:
            self.tokens.append(repr(part))


class _Module:
    """A module of the package, as it lies in its file; `bound` has top-level statements by the names that they bind."""

    def __init__(self, name: str):
        self.name = name
        path = _file(name)
        assert path is not None, name
        tree = ast.parse(path.read_bytes())
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.imports = dict(_imports(tree, package))
        self.statements = _without_settings(tree.body, name.startswith(_SETTINGS))
        self.bound: dict[str, list[ast.stmt]] = {}
        for statement in self.statements:
            for bound in set(_bound(statement)):
                self.bound.setdefault(bound, []).append(statement)
        self._said: dict[str, CodeText] = {}

    def said(self, name: str) -> CodeText:
        """Of the statements that bind `name`; of the whole module for an empty one."""
        if name not in self._said:
            self._said[name] = said = CodeText()
            for statement in self.bound[name] if name else self.statements:
                said.read(statement)
        return self._said[name]

    @cached_property
    def _submodules(self) -> dict[str, str]:
        return {bound: module for bound, (module, attribute) in self.imports.items() if not attribute}

    def links(self, said: CodeText) -> Iterator[tuple[str, tuple[str, str]]]:
        """Names and what they stand for elsewhere, as module and name there."""
        for name in said.names & self.imports.keys():
            if name not in self._submodules:
                yield name, self.imports[name]
        for name, attribute in said.attributes:
            if name in self._submodules:
                yield f"{name}.{attribute}", (self._submodules[name], attribute)


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def _imports(tree: ast.Module, package: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """By bound name, module and name in there, empty for the module itself; inside functions, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                yield bound, (alias.name if alias.asname else bound, "")
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parts, *([node.module] if node.module else [])])
            for alias in node.names:
                inside = f"{module}.{alias.name}"
                yield alias.asname or alias.name, (inside, "") if _file(inside) else (module, alias.name)


def _without_settings(statements: Iterable[ast.stmt], everywhere: bool) -> list[ast.stmt]:
    """Return statements without the fields and checks of classes that are settings: registered ones, or all of them."""
    kept = [*statements]
    for statement in kept:
        if isinstance(statement, ast.ClassDef) and (everywhere or _is_settings(statement)):
            functions = [each for each in statement.body if isinstance(each, ast.FunctionDef)]
            statement.body = [each for each in functions if each.name != "__post_init__"]
    return kept


def _is_settings(statement: ast.ClassDef) -> bool:
    made_by = [each.func for each in statement.decorator_list if isinstance(each, ast.Call)]
    return any(isinstance(each, ast.Name) and each.id == "register_settings" for each in made_by)


# This cache, the next one and that of `_text` have one entry for each module or definition that the package has or
# imports, and so a bound. What users add is read by `origins.py`.
@cache
def _file(module: str) -> Path | None:
    """Where a module of the package lies; None for any other."""
    first, *parts = module.split(".")
    if first != PACKAGE:
        return None
    path = _FOLDER.joinpath(*parts)
    return next((each for each in (path / "__init__.py", path.with_suffix(".py")) if each.is_file()), None)


@cache
def _module(name: str) -> _Module:
    return _Module(name)


def _defined(module: str, name: str) -> tuple[str, str] | None:
    """The module of the package that defines what another one only passes on, and its name there; None outside."""
    if _file(module) is None:
        return None
    there = _module(module)
    if name in there.bound:
        return module, name
    if name in there.imports:
        at, original = there.imports[name]
        return _defined(at, original) if original else None
    return None


def _counts(module: str) -> bool:
    inside = module.partition(".")[2]
    return not any(inside == each or inside.startswith(f"{each}.") for each in _LEFT_OUT)


def collect_texts(roots: Iterable[str], alone: Iterable[str] = ()) -> frozenset[str]:
    """What definitions say that roots reach, each `module:name`, or `module` for all of one.

    **Arguments:**

    - `alone`: more definitions, of which nothing is followed.
    """
    return _reached(frozenset(roots)) | {_text(*_parts(each)) for each in alone}


@lru_cache(maxsize=200)  # methods that a session asks for
def _reached(roots: frozenset[str]) -> frozenset[str]:
    waiting = [_parts(root) for root in roots]
    seen: set[tuple[str, str]] = set()
    while waiting:
        module, name = waiting.pop()
        if (module, name) in seen:
            continue
        seen.add((module, name))
        there = _module(module)
        said = there.said(name)
        waiting += [(module, other) for other in said.names & there.bound.keys() if name]
        targets = [_defined(*target) for _, target in there.links(said)]
        waiting += [target for target in targets if target is not None and _counts(target[0])]
    return frozenset(_text(module, name) for module, name in seen)


def _parts(root: str) -> tuple[str, str]:
    module, _, name = root.partition(":")
    return module, name


@cache
def _text(module: str, name: str) -> str:
    """A hash of what a definition says, and of what the names say that it has from elsewhere."""
    there = _module(module)
    said = there.said(name)
    links = []
    for bound, target in there.links(said):
        defined = _defined(*target)
        if defined is None:
            told = ".".join(target)
        else:
            told = _module(defined[0]).said(defined[1]).text if _counts(defined[0]) else defined[1]
        links.append(f"{bound} {digest(told)}")
    return digest("\n".join([said.text, *sorted(links)]))


def digest(text: str) -> str:
    """Short hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]

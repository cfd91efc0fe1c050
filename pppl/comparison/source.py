"""Hashes of the code of this package that something depends on: of its meaning, not of its layout.

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
# Modules that report, store or name results, and registries, through which all methods would depend on each other. Code
# that depends on an entry of a registry names that entry as a root.
_LEFT_OUT = (
    *("tables", "figures", "report", "comparison", "config.reading"),
    *("system.errors", "system.files", "system.progress", "system.printable"),
    *("system.processes", "system.memory", "system.tracking"),
    *("personalizers.methods", "personalizers.shown", "backbones.registry", "text.text_methods"),
    *("data.catalogue", "data.download", "data.unpack", "data.prepare"),
)
# Settings: the caller hashes their values; only their methods count as code.
_SETTINGS = f"{PACKAGE}.config"
_UNREAD = {"annotation", "returns", "type_comment", "type_params", "simple", "ctx", "kind"}


@dataclass
class CodeText:
    """The tokens of a piece of code, and the names that it uses: alone, and with an attribute."""

    tokens: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    attributes: set[tuple[str, str]] = field(default_factory=set)

    @property
    def text(self) -> str:
        """All tokens as one text."""
        return " ".join(self.tokens)

    def read(self, node: Any) -> None:
        """Add the tokens and names of a node."""
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Import() | ast.ImportFrom():
                return  # imported names count where they are used
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
                    self._read_part(part)
        self.tokens.append(")")

    def _read_part(self, part: Any) -> None:
        if isinstance(part, ast.AST):
            self.read(part)
        else:
            self.tokens.append(repr(part))


class _Module:
    """A module of the package, read from its file; `bound` has top-level statements by the names that they bind."""

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
            for bound in set(_bound_names(statement)):
                self.bound.setdefault(bound, []).append(statement)
        self._texts: dict[str, CodeText] = {}

    def text_of(self, name: str) -> CodeText:
        """Return the code text of the statements that bind `name`; of the whole module if it is empty."""
        if name not in self._texts:
            self._texts[name] = code_text = CodeText()
            for statement in self.bound[name] if name else self.statements:
                code_text.read(statement)
        return self._texts[name]

    @cached_property
    def _submodules(self) -> dict[str, str]:
        return {bound: module for bound, (module, attribute) in self.imports.items() if not attribute}

    def links(self, code_text: CodeText) -> Iterator[tuple[str, tuple[str, str]]]:
        """Yield imported names, each with the module and the name that it stands for."""
        for name in code_text.names & self.imports.keys():
            if name not in self._submodules:
                yield name, self.imports[name]
        for name, attribute in code_text.attributes:
            if name in self._submodules:
                yield f"{name}.{attribute}", (self._submodules[name], attribute)


def _bound_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a top-level statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def _imports(tree: ast.Module, package: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the names that imports bind, inside functions, too, with module and name; the name of a module is empty."""
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
    """Return statements without the fields and checks of settings: of registered classes, or of all."""
    kept = [*statements]
    for statement in kept:
        if isinstance(statement, ast.ClassDef) and (everywhere or _is_settings(statement)):
            functions = [each for each in statement.body if isinstance(each, ast.FunctionDef)]
            statement.body = [each for each in functions if each.name != "__post_init__"]
    return kept


def _is_settings(statement: ast.ClassDef) -> bool:
    """Return whether a class is registered as settings."""
    decorators = [each.func for each in statement.decorator_list if isinstance(each, ast.Call)]
    return any(isinstance(each, ast.Name) and each.id == "register_settings" for each in decorators)


# This cache, the next one and that of `_text` are bounded: they have one entry for each module or definition that the
# package has or imports. Code of users is read by `origins.py`.
@cache
def _file(module: str) -> Path | None:
    """Return the file of a module of the package; None for any other module."""
    first, *parts = module.split(".")
    if first != PACKAGE:
        return None
    path = _FOLDER.joinpath(*parts)
    return next((each for each in (path / "__init__.py", path.with_suffix(".py")) if each.is_file()), None)


@cache
def _module(name: str) -> _Module:
    return _Module(name)


def _find_definition(module: str, name: str) -> tuple[str, str] | None:
    """Return the module of the package that defines a name that others pass on, and its name there; None outside."""
    if _file(module) is None:
        return None
    module_code = _module(module)
    if name in module_code.bound:
        return module, name
    if name in module_code.imports:
        source_module, original = module_code.imports[name]
        return _find_definition(source_module, original) if original else None
    return None


def _is_hashed(module: str) -> bool:
    """Return whether code of a module counts, rather than its name alone."""
    inside = module.partition(".")[2]
    return not any(inside == each or inside.startswith(f"{each}.") for each in _LEFT_OUT)


def collect_texts(roots: Iterable[str], alone: Iterable[str] = ()) -> frozenset[str]:
    """Return the hashes of all definitions that roots depend on.

    **Arguments:**

    - `roots`: definitions as `module:name`, or `module` for a whole module.
    - `alone`: more definitions, whose dependencies are not followed.
    """
    return _collect_reached(frozenset(roots)) | {_text(*_split_root(each)) for each in alone}


@lru_cache(maxsize=200)  # more than the methods of any session
def _collect_reached(roots: frozenset[str]) -> frozenset[str]:
    """Return the hashes of all definitions that roots depend on."""
    waiting = [_split_root(root) for root in roots]
    seen: set[tuple[str, str]] = set()
    while waiting:
        module, name = waiting.pop()
        if (module, name) in seen:
            continue
        seen.add((module, name))
        module_code = _module(module)
        code_text = module_code.text_of(name)
        waiting += [(module, other) for other in code_text.names & module_code.bound.keys() if name]
        targets = [_find_definition(*target) for _, target in module_code.links(code_text)]
        waiting += [target for target in targets if target is not None and _is_hashed(target[0])]
    return frozenset(_text(module, name) for module, name in seen)


def _split_root(root: str) -> tuple[str, str]:
    """Return module and name of a root; the name of a whole module is empty."""
    module, _, name = root.partition(":")
    return module, name


@cache
def _text(module: str, name: str) -> str:
    """Return the hash of a definition and of the imported definitions that it names."""
    module_code = _module(module)
    code_text = module_code.text_of(name)
    links = []
    for bound, target in module_code.links(code_text):
        defined = _find_definition(*target)
        if defined is None:
            content = ".".join(target)
        else:
            content = _module(defined[0]).text_of(defined[1]).text if _is_hashed(defined[0]) else defined[1]
        links.append(f"{bound} {digest(content)}")
    return digest("\n".join([code_text.text, *sorted(links)]))


def digest(text: str) -> str:
    """Return a short hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]

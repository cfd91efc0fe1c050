"""What is public: listed, importable, with an example, and enough for the README and the notebooks."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import pppl

ROOT = Path(__file__).parents[1]
PUBLIC = ("pppl", "pppl.figures", "pppl.report", "pppl.deploy", "pppl.diff", "pppl.text", "pppl.tables")
NAMES = [(module, name) for module in PUBLIC for name in import_module(module).__all__]
TEXTS = ("README.md", "CONTRIBUTING.md", *(f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("[0-9]*.py")))
TEXTS += tuple(f"tests/outside/footsteps/{path.name}" for path in (ROOT / "tests/outside/footsteps").glob("*.py"))
_BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_public_name_is_there_and_has_an_example(module: str, name: str):
    value = getattr(import_module(module), name)
    assert inspect.isclass(value) or inspect.isfunction(value), "what has no docstring is not public"
    text = inspect.getdoc(value) or ""
    blocks = [code for _, code in _BLOCK.findall(text)]
    assert ">>> " in text or blocks
    for code in blocks:
        if ">>> " not in code:
            compile(code, f"{module}.{name}", "exec")


def _functions(value: object) -> Iterator[tuple[str, object]]:
    """Yield a public function, or the public methods of a class."""
    if inspect.isfunction(value):
        yield value.__name__, value
    elif inspect.isclass(value):
        yield from ((name, getattr(value, name)) for name in vars(value) if not name.startswith("_"))


@pytest.mark.parametrize(("module", "name"), [*NAMES, *(("pppl.sweeping", each) for each in ("sweep", "status"))])
def test_a_path_may_be_text(module: str, name: str):
    for function, value in _functions(getattr(import_module(module), name)):
        if callable(value):
            for parameter in inspect.signature(getattr(value, "__func__", value)).parameters.values():
                kind = str(parameter.annotation)
                is_path = "pathlib.Path" in kind and "Callable" not in kind
                assert not is_path or "str" in kind, f"{function}({parameter})"


def test_all_is_what_is_loaded_on_first_use_and_what_type_checkers_see():
    assert len(set(pppl.__all__)) == len(pppl.__all__)
    assert set(pppl.__all__) == set(pppl._LAZY)
    assert set(pppl.__all__) <= set(dir(pppl))
    (checked,) = (each for each in ast.parse(inspect.getsource(pppl)).body if isinstance(each, ast.If))
    imported = {
        alias.name: f"pppl.{node.module}"
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == pppl._LAZY


def test_importing_the_package_imports_no_torch():
    code = "import sys, pppl; dir(pppl); assert not {'torch', 'pandas', 'numpy'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_told():
    with pytest.raises(AttributeError, match="no attribute 'compair'"):
        _ = pppl.compair  # type: ignore[attr-defined] (what the test is about)


def _imports(code: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "pppl":
            yield from ((str(node.module), alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "pppl")


@pytest.mark.parametrize("path", TEXTS)
def test_what_readers_are_shown_is_public(path: str):
    text = (ROOT / path).read_text(encoding="utf-8")
    codes = [code for _, code in _BLOCK.findall(text)] if path.endswith(".md") else [text]
    imported = {each for code in codes for each in _imports(code)}
    assert imported <= {*NAMES, *((module, "") for module in PUBLIC)}


def test_the_readme_and_the_notebooks_import_something():
    found = [each for path in TEXTS for each in re.findall(r"^from pppl", (ROOT / path).read_text(), re.MULTILINE)]
    assert len(found) > 10

"""Imports go down only, and no name stands for two things."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pppl"
# From top to bottom; what stands on one line does not know its neighbours.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("__init__", "bench"),
    ("lab",),
    ("report",),
    ("figures",),
    ("sweeping",),
    ("deploy",),
    ("comparison",),
    ("text",),
    ("personalizers",),
    ("training",),
    ("diff", "gating", "pruning"),
    ("backbones",),
    ("tasks",),
    ("data",),
    ("tables",),
    ("config",),
    ("system",),
)
FLOOR = {room: at for at, rooms in enumerate(LAYERS) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))
WITHOUT_TORCH = ("figures", "report", "tables", "config")


def _name(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def _imports(path: Path) -> Iterator[tuple[str, ...]]:
    """Modules or names in modules of the package, whether imported at the top or inside a function."""
    package = ("pppl", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + tuple((node.module or "").split("."))
            yield from (tuple(filter(None, (*base, alias.name)))[1:] for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(_name(path)))
def test_imports_go_down(path: Path):
    here = _room(path)
    for target in _imports(path):
        there = target[0] if target[0] in FLOOR else "__init__"
        assert there == here or FLOOR[there] > FLOOR[here], f"imports {'.'.join(target)}"


def test_every_room_has_its_floor():
    rooms = {_room(path) for path in MODULES}
    assert rooms <= FLOOR.keys()
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "__main__"}


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _targets(path: Path) -> set[Path]:
    """Files that a module imports as it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) or _is_for_types(each)]
    inside = {node for each in late for node in ast.walk(each)}
    package, found = path.parent, set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level or node in inside:
            continue
        base = package
        for _ in range(node.level - 1):
            base = base.parent
        base = base.joinpath(*(node.module or "").split("."))
        places = [(base / f"{alias.name}.py", base / alias.name / "__init__.py") for alias in node.names]
        inside_modules = {path for each in places for path in each if path.is_file()}
        package_itself = () if len(inside_modules) == len(places) else (base.with_suffix(".py"), base / "__init__.py")
        found |= inside_modules | {path for path in package_itself if path.is_file()}
    return found


def test_no_module_imports_itself_in_a_circle():
    of = {path: _targets(path) for path in MODULES}
    for turned in (False, True):  # what imports nothing that is left, then what nothing that is left imports
        while free := {path for path in of if not _linked(path, of, turned)}:
            of = {path: targets for path, targets in of.items() if path not in free}
    assert not sorted("/".join(_name(path)) for path in of)


def _linked(path: Path, of: dict[Path, set[Path]], turned: bool) -> bool:
    return any(path in targets for targets in of.values()) if turned else bool(of[path] & of.keys())


def test_no_class_or_module_has_two_meanings():
    places = defaultdict(set)
    for path in MODULES:
        if path.stem not in ("__init__", "__main__"):
            places[f"module {path.stem}"].add(path)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places[f"class {node.name.strip('_')}"].add(path)
    twice = {
        name: [str(path.relative_to(PACKAGE)) for path in paths] for name, paths in places.items() if len(paths) > 1
    }
    assert not twice

"""Modules and files that add methods, networks, data sets and tasks, loaded before names are looked up."""

import hashlib
import importlib
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Iterable
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path, PureWindowsPath
from types import CodeType, ModuleType

from .errors import UserError, unknown
from .files import expand
from .registries import REGISTRIES

# Packages of this one that add themselves as any plugin does.
_OWN = ("pppl.data.sources", "pppl.tasks", "pppl.backbones", "pppl.personalizers")
_GROUP = "pppl.plugins"
_PREFIX = "pppl_plugin_"
_NOTEBOOK = "__main__"
_IMPORTING = (__file__, importlib.__file__)  # what stands above a plugin in a traceback


def load_plugins(names: Iterable[str]) -> None:
    """Import what this package, installed packages and an experiment's `plugins` add.

    **Arguments:**

    - `names`: modules that can be imported, or paths of Python files. A file that has changed is run again.

    ```python
    pppl.load_plugins(["nets.py"])  # what it registers has a name now, and files of its networks can be read
    ```

    Raise `UserError`, with file and line, if one cannot be imported.
    """
    _load_installed()
    for name in names:
        load_module(name)


def load_module(name: str) -> ModuleType:
    """Import a module, or a Python file by its path, and return it. A file that has changed is run again.

    Raise `UserError`, with file and line, if it cannot be imported.
    """
    if name.endswith(".py"):
        return _load_file(expand(name))
    module = _import(name, name)
    _NAMED.add(name)
    return module


def split_place(name: str) -> tuple[str, str]:
    """Return the module or file of a class, and the class; two empty names for what is no class by its place.

    The last colon counts, since a path may hold others. What stands before it names a Python file or a module.

    >>> split_place("a:b/nets.py:Net"), split_place("my.nets:Net"), split_place("hf/C:/folder")
    (('a:b/nets.py', 'Net'), ('my.nets', 'Net'), ('', ''))
    """
    place, _, attribute = name.rpartition(":")
    is_place = place.endswith(".py") or place.replace(".", "").isidentifier()
    return (place, attribute) if is_place else ("", "")


def find_loaded(name: str, attribute: str) -> str:
    """Return the name of a module or a Python file that the user has loaded, as `load_module` takes it; else "".

    A module that only other code imports does not count. A file may have been loaded from another folder, the last one
    if there are several: it then has the same file name and defines `attribute`.

    >>> import os
    >>> find_loaded("os", "system"), find_loaded("nets.py", "Net")
    ('', '')
    """
    if not name.endswith(".py"):
        return name if name in _NAMED else ""
    if expand(name).absolute() in _RUN:
        return name
    file_name = PureWindowsPath(name).name  # the last part of a path of any system
    alike = [path for path in _RUN if path.name == file_name and hasattr(sys.modules[_module_name(path)], attribute)]
    return str(alike[-1]) if alike else ""


@cache  # of one entry
def _load_installed() -> None:
    for name in _OWN:
        importlib.import_module(name)
    for entry in entry_points(group=_GROUP):
        _import(entry.module, f"{entry.name} of {entry.dist.name if entry.dist else 'an installed package'}")


def _import(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except UserError as error:
        raise UserError(f"plugin {name}: {error}") from error
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
            there = [path.stem for path in Path().glob("*.py")]
            if not there:
                raise UserError(
                    f"there is no module {name!r} to import: install it, or name a Python file, such as {name}.py"
                ) from error
            raise unknown("module or plugin", name, [*there, *(f"{each}.py" for each in there)]) from error
        raise UserError(f"plugin {name} cannot be imported: {_where(error)}") from error


# The plugin files that were run, by path: a hash of their text.
_RUN: dict[Path, str] = {}
# The modules that were loaded by name.
_NAMED: set[str] = set()


def _module_name(path: Path) -> str:
    return _PREFIX + hashlib.sha256(str(path).encode()).hexdigest()[:8] + f"_{path.stem}"


def _load_file(path: Path) -> ModuleType:
    path = path.absolute()
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"plugin {path} cannot be read: {error.strerror}; name a Python file or a module") from error
    digest = hashlib.sha256(text).hexdigest()
    name = _module_name(path)
    if _RUN.get(path) == digest:
        return sys.modules[name]
    _RUN.pop(path, None)  # it is forgotten if it fails
    specification = importlib.util.spec_from_file_location(name, path, loader=_PluginLoader(name, str(path)))
    assert specification is not None
    assert specification.loader is not None
    linecache.checkcache(str(path))
    _forget(name)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except UserError as error:
        _forget(name)
        raise UserError(f"plugin {path}: {error}") from error
    except (Exception, SystemExit) as error:
        _forget(name)
        raise UserError(f"plugin {path} cannot be imported: {_where(error)}") from error
    _RUN[path] = digest
    return module


class _PluginLoader(SourceFileLoader):
    """Runs a file as it is now. Kept bytecode is told apart by the second and the size, which two edits may share."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _forget(module: str) -> None:
    """Drop a module and all that it has added."""
    for registry in REGISTRIES.values():
        registry.drop(module)
    sys.modules.pop(module, None)


def plugin_files() -> list[str]:
    """Return the plugin files that were run, for `load_plugins` in another process."""
    return [str(path) for path in _RUN]


def _where(error: BaseException) -> str:
    """Return the line of the plugin, or of a file beside it, that an error arose in, and what it says."""
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '?').name}, line {error.lineno}: {error.msg}"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename not in _IMPORTING]
    frames = [each for each in frames if not each.filename.startswith("<frozen")]
    home = Path(frames[0].filename).parent
    last = [each for each in frames if Path(each.filename).parent == home][-1]
    return f"{Path(last.filename).name}, line {last.lineno}: {type(error).__name__}: {error}"


def notebook_definitions() -> bytes:
    """Return what the program's main module has added to registries, for `define` in a worker process.

    A worker can import neither a notebook's cells nor what was typed at a prompt.
    """
    import cloudpickle

    added = {kind: entries for kind, registry in REGISTRIES.items() if (entries := registry.made_in(_NOTEBOOK))}
    if not added:
        return b""
    sources = {name: entry for name, entry in linecache.cache.items() if len(entry) == 4 and entry[1] is None}
    return cloudpickle.dumps((added, sources))


def define(definitions: bytes) -> None:
    """Add what `notebook_definitions` returned in the parent process, with the source text of its functions."""
    if definitions:
        import cloudpickle

        added, sources = cloudpickle.loads(definitions)
        linecache.cache.update(sources)
        for kind, entries in added.items():
            for name, entry in entries.items():
                REGISTRIES[kind].add(name, entry)

"""Pages of the site that follow from the code, the notebooks and the results."""

from pathlib import Path

from . import columns, commands, files, names, notebooks, results, settings

__all__ = ["write_pages"]

_MAKERS = (commands, settings, columns, names, notebooks, results, files)


def write_pages(folder: Path) -> None:
    """Write all generated pages into a folder, and remove those of before. An unchanged page keeps its date."""
    made: set[Path] = set()
    for maker in _MAKERS:
        for name, content in maker.pages():
            path = folder / name
            made.add(path)
            data = content.encode() if isinstance(content, str) else content
            if not path.exists() or path.read_bytes() != data:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path.is_file() and path not in made:
            path.unlink()

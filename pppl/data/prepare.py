"""Brings a source into the data folder: download, check, unpack, convert, and only then its name."""

import importlib.util
import tempfile
from pathlib import Path

from ..system.errors import UserError, unknown
from ..system.files import output_folder
from .catalogue import SOURCES, Source, data_folder
from .download import fetch
from .unpack import unpack


def prepare(name: str) -> str:
    """Makes a registered source present, and says in one line where it is.

    Archives are kept in `<data folder>/archives`, where they may be deleted, and where those that somebody put there by
    hand are found. An interrupted call leaves nothing half-written under the source's name, and the next one continues
    the download.

    Raises `UserError` for an unknown source, for one that is not downloaded and is not there, and where a download, its
    hash or its content is not as it should be.
    """
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES)
    source = SOURCES[name]
    path = source.path
    if path is None or source.present():
        return f"{name} is there: {path or source.size}"
    package = _package(source)
    if not source.archives and package is None:
        raise source.missing(name)
    if path.is_symlink():
        raise UserError(f"{path} is a link to what is not there: mend or remove it")
    folder = output_folder(data_folder())
    archives = [fetch(archive, output_folder(folder / "archives")) for archive in source.archives]
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as work:
        unpacked, made = Path(work) / "unpacked", Path(work) / path.name
        for archive in archives:
            unpack(archive, unpacked)
        source.convert(package or unpacked, made)
        if not source.present():  # another process may have been faster
            made.replace(path)
    kept = f" (what lies in {folder / 'archives'} may be deleted)" if archives else ""
    return f"{name} is ready: {path}{kept}"


def _package(source: Source) -> Path | None:
    """The folder of the installed package that has the data; None where there is none. Nothing is imported."""
    found = importlib.util.find_spec(source.package) if source.package else None
    return Path(found.origin).parent if found and found.origin else None

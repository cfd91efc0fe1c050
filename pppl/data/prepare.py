"""Preparation of a source: download, check, unpack, convert, and only then move to its place in the data folder."""

import importlib.util
import tempfile
from pathlib import Path

from ..system.errors import UserError
from ..system.files import output_folder
from .catalogue import Source, data_folder, find_source
from .download import fetch
from .unpack import unpack


def prepare(name: str) -> str:
    """Download and convert a registered source if it is missing. Return one line that says where it is.

    Archives are kept in `<data folder>/archives`. You may delete them, or put archives there by hand. If a call is
    interrupted, nothing incomplete is left under the source's name, and the next call continues the download.

    Raise `UserError` if the source is unknown, if it is missing and cannot be downloaded, or if a download fails or its
    hash or content is wrong.

    >>> prepare("digits")
    'digits is there: bundled with scikit-learn'
    """
    source = find_source(name)
    path = source.path
    if path is None or source.present():
        return f"{name} is there: {path or source.size}"
    package = _package(source)
    if not source.archives and package is None:
        raise source.missing(name)
    if path.is_symlink():
        raise UserError(f"{path} is a broken link: repair or remove it")
    folder = output_folder(data_folder())
    archives = [fetch(archive, output_folder(folder / "archives")) for archive in source.archives]
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as work:
        unpacked, made = Path(work) / "unpacked", Path(work) / path.name
        for archive in archives:
            unpack(archive, unpacked)
        source.convert(package or unpacked, made)
        if not source.present():  # another process may have finished first
            made.replace(path)
    kept = f" (you may delete the files in {folder / 'archives'})" if archives else ""
    return f"{name} is ready: {path}{kept}"


def _package(source: Source) -> Path | None:
    """Return the folder of the package that contains the data; None if it is not installed. Nothing is imported."""
    found = importlib.util.find_spec(source.package) if source.package else None
    return Path(found.origin).parent if found and found.origin else None

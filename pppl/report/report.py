"""`pppl report`: a results folder as one HTML file."""

from pathlib import Path

from ..system.errors import UserError
from ..system.files import claim, expand, output_folder, write_bytes
from ..tables.provenance import data_mark
from .folder import read_results
from .page import page


def report(folder: Path, out: Path | None = None) -> Path:
    """Writes one HTML file that loads nothing from anywhere, made of a folder's tables and figures alone.

    **Arguments:**

    - `folder`: that `pppl compare`, `pppl tasks` or `pppl sweep` has written.
    - `out`: the file; by default `report.html` in the folder.

    **Returns:** the file. Raises `UserError` where a table is missing or corrupted, a figure is no PNG, or `out` is no
    name of an HTML file.
    """
    of = "" if out is None else data_mark(folder)
    out = folder / "report.html" if out is None else expand(out)
    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise UserError(f"--out is {out}: name a file that ends in .html")
    claim([out], of=of)
    content = page(read_results(folder))
    output_folder(out.parent)
    # Names from elsewhere may hold what no encoding has.
    write_bytes(out, content.encode("utf-8", errors="replace"), of=of)
    return out

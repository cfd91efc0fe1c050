"""`pppl report`: a results folder as one HTML file."""

from pathlib import Path

from ..system.errors import UserError
from ..system.files import claim, expand, output_folder, write_bytes
from ..tables.provenance import data_mark
from .folder import read_results
from .page import page


def report(folder: Path, out: Path | None = None) -> Path:
    """Write a results folder as one HTML file, which loads nothing else.

    ```python
    report(Path("results/mine"))  # results/mine/report.html
    ```

    **Arguments:**

    - `folder`: written by `pppl compare`, `pppl tasks` or `pppl sweep`.
    - `out`: the file; by default `report.html` in the folder.

    **Returns:** the file.

    Raise `UserError` if a table is missing or corrupted, a figure is not a PNG file, `out` is not the name of an HTML
    file, or a file of somebody else is in the way.
    """
    of = "" if out is None else data_mark(folder)
    out = folder / "report.html" if out is None else expand(out)
    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise UserError(f"--out is {out}: name a file that ends in .html")
    claim([out], of=of)
    content = page(read_results(folder))
    output_folder(out.parent)
    # Names from elsewhere may contain characters that UTF-8 cannot encode.
    write_bytes(out, content.encode("utf-8", errors="replace"), of=of)
    return out

"""`pppl report`: a results folder, or two side by side, as one HTML file."""

from pathlib import Path

from ..system.errors import UserError
from ..system.files import claim, expand, output_folder, write_bytes
from ..tables.provenance import data_mark
from .comparison_page import comparison_page
from .folder import read_results
from .page import page


def report(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    beside: str | Path | None = None,
    reference: str = "",
    against: str = "",
) -> Path:
    """Write a results folder as one HTML file, which loads nothing else.

    ```python
    report("results/mine", reference="l1_local+retrain")  # results/mine/report.html
    report("results/mine", "changes.html", beside="results/other")  # what changed from the first to the second
    ```

    **Arguments:**

    - `folder`: written by `pppl compare`, `pppl tasks` or `pppl sweep`.
    - `out`: the file; by default `report.html` in the folder.
    - `beside`: a second folder. The file then shows the same methods in both, and where their experiments differ.
    - `reference`: the method of a comparison on persons that all others are compared with; by default that of the
      experiment. Nothing is computed anew but means and differences, in the file alone.
    - `against`: the method that the gallery of persons holds the reference, or else the best method, against; by
      default the full network with the person's classes, or without them.

    **Returns:** the file.

    Raise `UserError` if a table is missing or corrupted, a figure is not a PNG file, `out` is not the name of an HTML
    file, a file of somebody else is in the way, a method was not measured, or two folders have nothing in common.
    """
    folder = expand(folder)
    if beside is not None and out is None:
        raise UserError("--out is missing: name the HTML file for two folders side by side")
    if beside is not None and (reference or against):
        raise UserError("--reference and --against are for a report of one folder: leave them out, or name one folder")
    of = "" if out is None or beside is not None else data_mark(folder)
    out = folder / "report.html" if out is None else expand(out)
    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise UserError(f"--out is {out}: name a file that ends in .html")
    claim([out], of=of)
    results = read_results(folder, reference)
    content = page(results, against) if beside is None else comparison_page(results, read_results(expand(beside)))
    output_folder(out.parent)
    # Names from elsewhere may contain characters that UTF-8 cannot encode.
    write_bytes(out, content.encode("utf-8", errors="replace"), of=of)
    return out

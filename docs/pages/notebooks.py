"""Notebooks as pages, with the outputs that they are committed with."""

import json
from collections.abc import Iterator
from typing import Any

from .markdown import ROOT, with_site_links


def _markdown(notebook: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield where a notebook holds Markdown, in cells and in their outputs."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            yield cell, "source"
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}):
                yield output["data"], "text/markdown"


def pages() -> Iterator[tuple[str, str | bytes]]:
    """Yield the notebooks, the pictures that they show, and a page that lists them with their first paragraph."""
    names = []
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        source, page = f"notebooks/{path.name}", f"generated/notebooks/{path.name}"
        for place, key in _markdown(notebook):
            place[key] = with_site_links("".join(place[key]), source, page).splitlines(keepends=True)
        names.append(path.stem)
        yield f"notebooks/{path.name}", json.dumps(notebook)
    for path in (ROOT / "notebooks").glob("*.svg"):
        yield f"notebooks/{path.name}", path.read_bytes()
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    listed = "\n".join(names)
    index = with_site_links(text, "notebooks/README.md", "generated/notebooks/index.md")
    yield "notebooks/index.md", f"{index}\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"

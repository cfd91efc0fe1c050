"""Files of the repository that are read on their own and are pages of the site, too."""

from collections.abc import Iterator

from .markdown import ROOT, with_site_links

_FILES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "results/FINDINGS.md": "findings.md",
}


_PICTURES = ("results/overview.png", "notebooks/how_it_works.svg")


def pages() -> Iterator[tuple[str, str | bytes]]:
    """Yield each file with links of the site, and the pictures of the README."""
    for source, name in _FILES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        yield name, with_site_links(text, source, f"generated/{name}")
    for source in _PICTURES:
        yield (ROOT / source).name, (ROOT / source).read_bytes()

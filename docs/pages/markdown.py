"""Markdown: tables, blocks of code, and links of the repository's files turned into links of the site."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from pppl.report.markdown import markdown_table

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(?<!\!)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)\)")
_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_DOCTEST = re.compile(r"^>>> .*\n?(?:^(?!\n).+\n?)*", re.MULTILINE)
# Files of the repository that are a page of the site, each from `docs/`.
_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "generated/contributing.md",
    "CHANGELOG.md": "generated/changelog.md",
    "results/FINDINGS.md": "generated/findings.md",
    "results/README.md": "generated/results/index.md",
    "results": "generated/results/index.md",
    "notebooks": "generated/notebooks/index.md",
    "notebooks/README.md": "generated/notebooks/index.md",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose cells may hold bars.

    >>> table(["a"], [["1"]]).splitlines()[2]
    '| 1 |'
    """
    return markdown_table(head, [[cell.replace("|", "\\|") for cell in row] for row in rows]) + "\n"


def docstring(text: str) -> str:
    """Return a docstring as Markdown, with the examples of `>>>` as blocks of code."""
    outside, *rest = _FENCED.split(text)
    parts = [_examples(outside)]
    for block, after in zip(rest[::2], rest[1::2], strict=True):
        parts += [block.replace("```python", "```pycon") if ">>> " in block else block, _examples(after)]
    return "".join(parts)


def _examples(text: str) -> str:
    return _DOCTEST.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text)


def with_site_links(text: str, source: str, page: str) -> str:
    """Return a text whose links to files of the repository lead to pages of the site, or are plain text.

    - `source`: the file that the text is from, relative to the repository.
    - `page`: the page that it becomes, relative to `docs/`.
    """
    return _LINK.sub(lambda found: _link(found["text"], found["target"], source, page), text)


def _link(text: str, target: str, source: str, page: str) -> str:
    if target.startswith(("http:", "https:", "#", "mailto:")):
        return f"[{text}]({target})"
    path, hash_, anchor = target.partition("#")
    path = normpath(str(PurePosixPath(source).parent / path))
    there = page_of(path)
    if there is None:
        return text if text.startswith("`") else f"{text} (`{path}`)"
    return f"[{text}]({relpath(there, str(PurePosixPath(page).parent))}{hash_}{anchor})"


def page_of(path: str) -> str | None:
    """Return the page of the site, from `docs/`, that shows a file or folder of the repository; None if none does.

    >>> page_of("notebooks/00_quickstart.ipynb")
    'generated/notebooks/00_quickstart.ipynb'
    """
    if path in _PAGES:
        return _PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    folder, _, name = path.partition("/")
    if folder == "notebooks" and name.endswith((".ipynb", ".py")) and (ROOT / path).exists():
        return f"generated/notebooks/{PurePosixPath(name).stem}.ipynb"
    if folder == "results" and (ROOT / "results" / name.split("/")[0] / "summary.csv").exists():
        return f"generated/results/{name.split('/')[0]}.md"
    return None

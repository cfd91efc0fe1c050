"""Each reference result as a page: what it is, its answer, scores and figures, and its report to sort and filter."""

import re
from collections.abc import Iterator
from pathlib import Path

from pppl.report import accuracies_of
from pppl.report.answer import answer
from pppl.report.folder import FolderTables, read_results
from pppl.report.page import page
from pppl.report.pictures import ordered
from pppl.tables.schema import load_frame

from .markdown import ROOT, table, with_site_links

_SWEEPS = {"compare": "Comparisons on persons", "tasks": "Text tasks", "tune": "Sweeps"}
_FACT = re.compile(r"^(Command|Data|Run time|Expected|Source): +(.*)$")


def pages() -> Iterator[tuple[str, str | bytes]]:
    """Yield an index, a page for each folder, its figures, and its report."""
    made = dict[str, list[str]]()
    for kind in _SWEEPS:
        for path in sorted((ROOT / "sweeps" / kind).glob("*.yaml")):
            folder = ROOT / "results" / path.stem
            if (folder / "run.json").exists():
                made.setdefault(kind, []).append(path.stem)
                yield from _folder(path, folder)
    yield "results/index.md", _index(made)


def _index(made: dict[str, list[str]]) -> str:
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    shown = with_site_links(text, "results/README.md", "generated/results/index.md")
    trees = [
        f"```{{toctree}}\n:caption: {title}\n:maxdepth: 1\n:hidden:\n\n" + "\n".join(made.get(kind, ())) + "\n```\n"
        for kind, title in _SWEEPS.items()
    ]
    return "\n".join([shown, *trees])


def _folder(sweep: Path, folder: Path) -> Iterator[tuple[str, str | bytes]]:
    results = read_results(folder)
    figures = ordered(folder)
    for path in figures:
        yield f"results/{folder.name}-{path.name}", path.read_bytes()
    yield f"extra/reports/{folder.name}.html", page(results)
    first, facts, prose = _head(sweep)
    parts = [
        f"# {folder.name}\n",
        f"{first}\n",
        f'<p><a class="report" href="../../reports/{folder.name}.html">Report: all tables to sort and filter</a></p>\n',
        "## Answer\n",
        *(f'<div class="answer">{part}</div>\n' for part in answer(results)),
        *_scores(results, folder),
        "## Figures\n",
        *(_figure(folder, path) for path in figures),
        "## How it was made\n",
        table(["", ""], [[name, f"`{fact}`" if name == "Command" else fact] for name, fact in facts.items()]),
        f"{prose}\n",
    ]
    yield f"results/{folder.name}.md", "\n".join(parts)


def _head(path: Path) -> tuple[str, dict[str, str], str]:
    """Return what the comments at the top of an experiment say: the first sentence, facts by name, and the rest."""
    lines = [line[1:].strip() for line in path.read_text(encoding="utf-8").split("\nname:")[0].splitlines()]
    facts, prose, name = dict[str, str](), [""], ""
    for line in lines:
        if found := _FACT.match(line):
            name = found[1]
            facts[name] = found[2]
        elif not line:
            name, prose = "", [*prose, ""]
        elif name:
            facts[name] += f" {line}"
        else:
            prose[-1] += f"{line} "
    first, *rest = [each.strip() for each in prose if each.strip()]
    return first, facts, "\n\n".join(rest)


def _scores(results: FolderTables, folder: Path) -> Iterator[str]:
    if results.kind == "persons":
        frame = load_frame(folder / "summary.csv")
        budgets = sorted({float(each) for each in frame["budget"]} - {1.0})
        for budget in budgets:
            yield f"## Scores at {100 * budget:g} % of the full network's cost\n"
            yield "Means in % with 95 % intervals, own samples only. A click on a column's title sorts.\n"
            yield f"{accuracies_of([folder], budget)}\n"
    if results.best:
        yield "## The best setting found\n"
        yield f"```yaml\n{results.best.strip()}\n```\n"


def _figure(folder: Path, path: Path) -> str:
    caption = path.with_suffix(".txt")
    text = caption.read_text(encoding="utf-8").strip() if caption.exists() else path.stem
    return f":::{{figure}} {folder.name}-{path.name}\n:alt: {' '.join(text.split())[:200]}\n\n{text}\n:::\n"

"""The HTML page: its parts in order, its style and its script."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from .answer import answer
from .folder import FolderTables
from .gallery import gallery
from .html import Html, element, join
from .main_tables import main_table
from .origin import origin
from .other_tables import other_tables
from .pictures import pictures

_QUESTIONS = {
    "persons": "What does a small, personal network cost in {metric}, and which way of making it is best?",
    "tasks": "What does it cost to keep a sparse difference for each task instead of a whole network?",
    "sweep": "Which settings are best, and which of them matter?",
}
_NOTES = {
    "persons": "The bar spans the 95 % interval{from_to}, the tick is the mean. "
    "“Less full” is {metric} less the full network's on the same persons. “Reference less this” is the paired "
    "difference to {reference} with the person's own samples at the same budget, with its interval and its p-value "
    "corrected by Holm's procedure. "
    "What is not pruned, or has MACs of its own, has no budget and is shown with each.",
    "tasks": "The bar spans the 95 % interval, the tick is the mean. Scores are the metric named, times 100.",
    "sweep": "{Metric} on validation persons, with its 95 % interval.",
}


def page(results: FolderTables, against: str = "") -> Html:
    """Return the whole document.

    **Arguments:**

    - `against`: the method that persons are held against in the gallery.

    Raise `UserError` if that method was not measured.
    """
    parts = [
        ("answer", "Answer", join([*_preview(results), *answer(results)])),
        ("summary", {"sweep": "Trials"}.get(results.kind, "Summary"), _summary(results)),
        ("persons", "Persons", gallery(results, against)),
        ("figures", "Figures", _figures(results)),
        ("tables", "Other tables", join(other_tables(results))),
        ("origin", "Where it comes from", origin(results.run, results.best)),
    ]
    question = _in_metric(_QUESTIONS[results.kind], results)
    return document(results.name, question, _of_what(results), parts)


def _preview(results: FolderTables) -> list[Html]:
    """Return a paragraph that says so if the results are of `--fast`, which ends the experiment's name with `-fast`."""
    if not results.name.endswith("-fast"):
        return []
    told = " Little was trained and tested, to see whether everything runs: these numbers mean little."
    return [element("p", element("strong", "A preview (--fast)."), told)]


def document(name: str, question: str, about: str, parts: Sequence[tuple[str, str, Html]]) -> Html:
    """Return an HTML document that loads nothing.

    **Arguments:**

    - `name`, `question`, `about`: the lines of its head.
    - `parts`: the anchor, the title and the content of each section; empty ones are left out.
    """
    parts = [part for part in parts if part[2]]
    links = [element("a", title, href=f"#{anchor}") for anchor, title, _ in parts]
    sections = [
        element("section", element("h2", title), content, id=anchor, class_=anchor) for anchor, title, content in parts
    ]
    header = element(
        "header",
        element("h1", name),
        element("p", question, class_="question"),
        element("p", about, class_="quiet"),
        element("nav", *links, aria_label="Parts of this page"),
    )
    footer = element("footer", "Made by `pppl report` from the tables and figures of a results folder.")
    body = element("body", header, element("main", *sections), footer, element("script", _asset("page.js")))
    return join((Html("<!DOCTYPE html>\n"), element("html", _head(name), body, lang="en"), "\n"))


def _in_metric(text: str, results: FolderTables) -> str:
    metric = results.metric
    from_to = " from 0 to 100 %" if metric.percent else ""
    reference = next((row["reference"] for row in results.main.rows if row.get("reference")), "the reference")
    return text.format(metric=metric.title, Metric=metric.heading, from_to=from_to, reference=reference)


def _head(name: str) -> Html:
    """Return the head. Its policy allows no loading, and only the script and style of this package."""
    script, style = (_hash(_asset(asset)) for asset in ("page.js", "page.css"))
    allowed = f"img-src data:; script-src '{script}'; style-src '{style}'"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("title", f"{name} - pppl report"),
        element("link", rel="icon", href="data:,"),
        element("style", _asset("page.css")),
    )


def _asset(name: str) -> Html:
    return Html(files(__package__ or "").joinpath(name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _summary(results: FolderTables) -> Html:
    return join((element("p", _in_metric(_NOTES[results.kind], results), class_="note"), main_table(results)))


def _figures(results: FolderTables) -> Html:
    return join(pictures(results.folder)) or element("p", "There are none: `pppl figures` draws them.")


def _of_what(results: FolderTables) -> str:
    """Return data, network and sizes in a line."""
    main, parts = results.main, []
    for name in ("dataset", "backbone", "encoder"):
        if name in main.names:
            parts.append(", ".join(main.distinct(name)))
    if results.kind == "sweep":
        parts.append(f"{len(main.rows):,} trials")
    else:
        parts.append(f"{len(main.distinct('method')):,} methods")
    seeds = results.run.get("seeds")
    if isinstance(seeds, list):
        parts.append(f"{len(seeds)} seed{'s' * (len(seeds) != 1)}")
    return " · ".join(parts)

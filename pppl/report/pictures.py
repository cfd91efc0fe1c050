"""Figures of a results folder with their captions, embedded in the page."""

import base64
from io import BytesIO
from pathlib import Path

from PIL import Image

from ..system.errors import UserError
from .html import Html, element

# The figures that answer most come first; others follow by name.
_FIRST = (
    "accuracy_vs_macs",
    "score_list",
    "supports",
    "task_scores",
    "history",
    "iso_macs",
    "personal_gain",
    "retraining",
    "importances",
)

# Figures up to this width in pixels (a column of text) are shown narrower: letters are as large as in others.
_HALF = 900


def pictures(folder: Path) -> list[Html]:
    """Return a `figure` element for each PNG file in `figures/`.

    The text file beside it is its caption, else its name is.

    Raise `UserError` if a file is not a PNG file.
    """
    return [_figure(path) for path in ordered(folder)]


def ordered(folder: Path) -> list[Path]:
    """Return the PNG files in `figures/`, those that answer most first."""
    return sorted((folder / "figures").glob("[!.]*.png"), key=lambda path: (_place(path.stem), path.stem))


def _place(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def _figure(path: Path) -> Html:
    content = path.read_bytes()
    try:
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is not a PNG file; `pppl figures {path.parents[1]}` draws it again") from error
    title = path.stem.replace("_", " ").replace("macs", "MACs")
    caption = _caption(path) or title[:1].upper() + title[1:]
    data = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    size = "whole" if width > _HALF else "half"
    image = element("img", src=data, alt=caption, width=width, height=height, class_=size)
    # On a narrow screen the picture keeps a readable size and scrolls.
    scroll = element("div", image, class_="picture", role="region", aria_label=f"Figure: {title}", tabindex=0)
    return element("figure", scroll, element("figcaption", caption), id=f"figure-{path.stem}")


def _caption(path: Path) -> str:
    file = path.with_suffix(".txt")
    return " ".join(file.read_text(encoding="utf-8", errors="replace").split()) if file.exists() else ""

"""The figures of a results folder, with their captions, inside the page."""

import base64
from io import BytesIO
from pathlib import Path

from PIL import Image

from ..system.errors import UserError
from .html import Html, element

# Those that answer most first; any others follow by name.
_FIRST = ("accuracy_vs_macs", "task_scores", "history", "iso_macs", "personal_gain", "retraining", "importances")

# Figures as wide as a column of text, in pixels, are shown narrower, so that their text is as large as that of others.
_HALF = 900


def pictures(folder: Path) -> list[Html]:
    """A `figure` element for each PNG in `figures/`, captioned by the text file beside it, else by its name.

    Raises `UserError` where one is no PNG.
    """
    paths = sorted((folder / "figures").glob("[!.]*.png"), key=lambda path: (_place(path.stem), path.stem))
    return [_figure(path) for path in paths]


def _place(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def _figure(path: Path) -> Html:
    content = path.read_bytes()
    try:
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is no PNG; `pppl figures {path.parents[1]}` draws it again") from error
    told = path.stem.replace("_", " ").replace("macs", "MACs")
    caption = _caption(path) or told[:1].upper() + told[1:]
    data = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    size = "whole" if width > _HALF else "half"
    image = element("img", src=data, alt=caption, width=width, height=height, class_=size)
    # On a narrow screen the picture keeps a size that can be read, and scrolls.
    scroll = element("div", image, class_="picture", role="region", aria_label=f"Figure: {told}", tabindex=0)
    return element("figure", scroll, element("figcaption", caption), id=f"figure-{path.stem}")


def _caption(path: Path) -> str:
    told = path.with_suffix(".txt")
    return " ".join(told.read_text(encoding="utf-8", errors="replace").split()) if told.exists() else ""

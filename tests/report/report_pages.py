"""What a page holds, as a browser would read it."""

from html.parser import HTMLParser
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "results"


class Parsed(HTMLParser):
    """What a browser would see: the elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._inside = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        self.text += "\n" * (tag == "p")

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

"""A report's page as tests read it."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """Elements, texts and element ids of a page, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._in_script = True
            self.scripts.append("")

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text += data

    @property
    def sections(self) -> list[str | None]:
        return [attrs.get("id") for tag, attrs in self.elements if tag == "section"]

"""A page of HTML, read strictly, and how colours stand out from each other."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = frozenset({"meta", "br", "hr", "input"})
HOSTILE = "\"'><script>alert(1)</script>&amp;\u202e\x1b[31m<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """A page in which every element that is opened is closed, in order; anything else is an AssertionError."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Only shapes close themselves."""
        assert "svg" in self.open, f"{tag} closes itself outside of a drawing"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """It has to be the one that was opened last."""
        assert self.open, f"{tag} was never opened"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """What a reader may see."""
        if self.open[-1:] not in (["style"], ["script"]):
            self.text.append(data)

    def all(self, name: str, **attributes: str) -> list[dict[str, str | None]]:
        """The attributes of each element of this name that has at least these."""
        return [given for tag, given in self.elements if tag == name and attributes.items() <= given.items()]

    @property
    def said(self) -> str:
        """All text, with single blanks."""
        return " ".join("".join(self.text).split())


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2 between two colours like `#16202a`."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

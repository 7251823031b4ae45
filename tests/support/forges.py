"""What a forge makes of a comment: its HTML as GitHub renders it, and what is looked for in its text afterwards.

GitHub and GitLab render Markdown first. Then they look for references in what is text by then: entities and backslashes
are resolved. They leave out what is in `code` and `pre`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import cmarkgfm
from cmarkgfm.cmark import Options

INERT = frozenset({"code", "pre"})
_ALERT = re.compile(r"\[!(?:CAUTION|WARNING)\]\n")
_PLAIN = re.compile(r"[A-Za-z0-9 \n,.;:?()'…—]*")
REFERENCES = {
    "a mention": r"@",
    "an issue, or a colour": r"#\w",
    "an issue by GH-": r"\b[A-Za-z]+-[0-9]",
    "a merge request": r"!\w",
    "an epic": r"&\w",
    "a milestone": r"%\w",
    "a label": r"~\w",
    "a snippet, or a formula": r"\$",
    "a commit": r"\b[0-9a-fA-F]{7,}\b",
    "an emoji": r":[\w+-]+:",
    "an address": r"www\.|://|\bmailto:\S|\b\S+@\S",
    "a footnote": r"\[\^",
    "a link": r"\]\(|\[\[",
    "a difference": r"\{[+-]|\[[+-]",
}


@dataclass
class Comment(HTMLParser):
    """The HTML of a comment: its elements without code spans, the comments in it, and its text in code and outside."""

    html: str
    elements: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    everything: list[str] = field(default_factory=list)
    depth: int = 0

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag in INERT
        if tag != "code":
            self.elements.append(f"<{tag}{''.join(f' {name}' for name, _ in attrs)}>")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag in INERT
        if tag != "code":
            self.elements.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.everything.append(data)
        if not self.depth:
            self.outside.append(data)

    def handle_comment(self, data: str) -> None:
        self.hidden.append(data)

    @property
    def text(self) -> str:
        """All of its text, without blanks."""
        return re.sub(r"\s", "", "".join(self.everything))

    def acts(self) -> list[str]:
        """What a forge would find outside of code."""
        texts = [text for text in self.outside if not _ALERT.fullmatch(text)]
        found = [f"{what}: {text!r}" for text in texts for what, form in REFERENCES.items() if re.search(form, text)]
        return [*found, *(f"not plain: {text!r}" for text in texts if not _PLAIN.fullmatch(text))]


def render(markdown: str) -> Comment:
    """As GitHub does, before it cleans up: raw HTML would be HTML."""
    options = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES
    extensions = ["table", "autolink", "strikethrough", "tasklist"]
    return Comment(cmarkgfm.markdown_to_html_with_extensions(markdown, options, extensions))


def quick_actions(markdown: str) -> list[str]:
    """Lines that GitLab runs as commands, wherever they are: `/close` at the beginning of a line."""
    return [line for line in markdown.split("\n") if line.startswith("/")]

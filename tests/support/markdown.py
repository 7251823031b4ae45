"""Just enough Markdown to hold the documentation to what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*<?(\S+?)>?\s*$", re.MULTILINE)
HTML_LINK = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=\"([^\"\s]+)", re.IGNORECASE)


def code(text: str) -> list[str]:
    """The content of every fenced block and every code span."""
    spans = [match[2] for match in CODE_SPAN.finditer(FENCE.sub("", text))]
    return [match["body"] for match in FENCE.finditer(text)] + spans


def links(text: str) -> Iterator[str]:
    """Every target of a link or picture that is not inside code."""
    prose = CODE_SPAN.sub("", FENCE.sub("", text))
    for match in LINK.finditer(prose):
        yield match[1] or match[2]
    for match in HTML_LINK.finditer(prose):
        yield match[1]


def anchors(text: str) -> set[str]:
    """The fragments that a page's headings can be linked by, as GitHub makes them."""
    found: set[str] = set()
    for _, title in HEADING.findall(FENCE.sub("", text)):
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def section(text: str, title: str) -> str:
    """The text under a heading, down to the next one of its level or above; ValueError if there is none."""
    # Code is blanked line by line, so that a comment in a shell block does not count as a heading.
    masked = FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    headings = list(HEADING.finditer(masked))
    for index, heading in enumerate(headings):
        if heading[2] == title:
            following = (other for other in headings[index + 1 :] if len(other[1]) <= len(heading[1]))
            end = next((other.start() for other in following), len(text))
            return text[heading.end() : end]
    message = f"there is no section {title!r}"
    raise ValueError(message)


def broken_links(page: Path, root: Path) -> list[str]:
    """The relative links of one page that lead nowhere, or out of the project."""
    broken = []
    for target in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE):
            continue
        path, _, fragment = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if (
            not there.is_relative_to(root)
            or not there.exists()
            or (fragment and there.suffix == ".md" and fragment not in anchors(there.read_text(encoding="utf-8")))
        ):
            broken.append(target)
    return broken

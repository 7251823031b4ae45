"""What a terminal needs: colour, and lines of a limited width, made of text that went through the encoder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.encoder import shown
from reconciler.report.roles import Role

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text
    from rich.theme import Theme

STYLES = {
    Role.PLAIN: "",
    Role.ADDED: "bold green",
    Role.CHANGED: "bold yellow",
    Role.REMOVED: "bold red",
    Role.FORGOTTEN: "bold",
    Role.DANGER: "bold red",
    Role.WARNING: "bold yellow",
    Role.GOOD: "bold green",
    Role.NOTE: "cyan",
    Role.NAME: "bold",
    Role.TITLE: "bold",
    Role.QUIET: "dim",
}
"""How a terminal draws each role; the words are also those of rich."""
_SGR = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
WIDEST_NAME = 80
"""Columns: 63 characters of a key's name, and the kind before it."""
_PAINT = re.compile("\x1b\\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Palette:
    """ANSI colour, or none: with `colour` False every role returns its text unchanged."""

    colour: bool

    def paint(self, text: str, role: Role) -> str:
        """The text as this role is drawn, reset at its end."""
        styles = STYLES[role].split()
        if not (self.colour and text and styles):
            return text
        return f"\x1b[{';'.join(_SGR[style] for style in styles)}m{text}\x1b[0m"


def rich_theme() -> Theme:
    """For a rich console, to which a role's name is then that of a style."""
    from rich.theme import Theme  # noqa: PLC0415 - rich takes longer to import than a plan to compute

    return Theme({role.value: style for role, style in STYLES.items()})


def cells(text: str) -> int:
    """How many columns a printable text takes, painted or not: wide characters take two, combining ones none."""
    if "\x1b" in text:
        text = _PAINT.sub("", text)
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, width: int) -> str:
    """The text with blanks up to this many columns."""
    return text + " " * max(0, width - cells(text))


def widest(names: Iterable[str]) -> int:
    """The width of a column for these names; at most that of the longest name that the API allows."""
    return min(max(cells(shown(name)) for name in names), WIDEST_NAME)


def wrap(words: Iterable[str], width: int) -> list[str]:
    """Lines of whole words, each at most `width` columns unless one word alone is wider."""
    lines: list[str] = []
    line, used = "", 0
    for word in words:
        size = cells(word)
        if line and used + 1 + size > width:
            lines.append(line)
            line, used = "", 0
        line, used = (f"{line} {word}", used + 1 + size) if line else (word, size)
    return [*lines, line] if line or not lines else lines


def hanging(text: Text, console: Console, width: int) -> list[Text]:
    """Its lines for rich, all but the first of a long one indented, so that no word that others wrote begins a line."""
    lines: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        if line.cell_len <= width:
            lines.append(line)
        else:
            first, *rest = line.wrap(console, width - 2)
            for part in rest:
                part.pad_left(2)
            lines += [first, *rest]
    return lines


def items(names: Iterable[str]) -> list[str]:
    """The words of a list: every name but the last with its comma."""
    words = [shown(name) for name in names]
    return [*(f"{word}," for word in words[:-1]), *words[-1:]]

"""What a piece of text is for: renderers give roles, and each output draws them in its own way."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Why a text stands out. A terminal draws it by `terminal.STYLES`, a page by the classes of its style sheet."""

    PLAIN = "plain"
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    FORGOTTEN = "forgotten"
    DANGER = "danger"
    """Someone loses something, or anyone gets in: to be read first."""
    WARNING = "warning"
    GOOD = "good"
    NOTE = "note"
    """It stands out, and is as it should be."""
    NAME = "name"
    TITLE = "title"
    QUIET = "quiet"

"""What a piece of a report is to its reader: each renderer says in one table of its own how it shows that."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a piece of text is; how that looks is the renderer's business."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    DANGER = "danger"
    """It needs a look now: public, leaked, expired, lost, refused, failed."""
    WARNING = "warning"
    """It needs a look at some time."""
    URGENT = "urgent"
    """A warning that stands out among others: it is due now."""
    GOOD = "good"
    NOTE = "note"
    """It is worth knowing, and as it should be."""
    NAME = "name"
    """What the rest is about: a key, an endpoint, an address."""
    TITLE = "title"
    QUIET = "quiet"
    """It matters less than the rest."""
    PLAIN = "plain"

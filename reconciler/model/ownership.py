"""Ownership, written on the keys themselves: a short marker at the end of a live key's description.

    Checkout summaries [keyform inference-prod/payments-api g2 published 2026-11-21T10:00:00Z]

The description is the only field of a live key that can be changed [api: PATCH takes only `description`, at most 300
characters], so it is where ownership and progress are kept. The longest marker (a stack of 40 characters, a key of 56,
a generation of five digits, protected) is 155 characters: the schema keeps the human text to 140, which fits in 300.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Phase(StrEnum):
    """How far a generation has come."""

    PENDING = "pending"
    """Made, and in no sink that cannot be read back: disposable, unless another one holds its secret."""
    PUBLISHED = "published"
    """Its secret may have been written to a sink: in use."""
    ADOPTED = "adopted"
    """Taken over from the portal: in use, but its secret is unknown to keyform."""
    PARTIAL = "partial"
    """Being published, or a run ended while it was: some sinks may hold its secret. In use, but it replaced nothing."""
    REVOKED = "revoked"
    """Its secret leaked: in use until a successor is published, and cut then, without an overlap."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who a live key belongs to, and how far it has come; `since` is an instant in UTC, to the second."""

    stack: str
    key: str
    generation: int
    phase: Phase
    since: datetime
    protected: bool = False

    def marker(self) -> str:
        """The text that stands at the end of the description."""
        since = self.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        flag = " protected" if self.protected else ""
        return f"[keyform {self.stack}/{self.key} g{self.generation} {self.phase.value} {since}{flag}]"


LONGEST_MARKER = 500
"""Characters at a description's end among which a marker is looked for: the search is quadratic in white space."""
_MARKER = re.compile(
    r"\s*\[keyform (?P<stack>[a-z0-9-]+)/(?P<key>[a-z0-9-]+) g(?P<generation>[1-9]\d{0,4}) "
    r"(?P<phase>pending|published|adopted|partial|revoked) (?P<since>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"
    r"(?P<protected> protected)?\]\s*\Z"
)


def compose_description(text: str, ownership: Ownership) -> str:
    """The live description: the human text, then the marker."""
    return f"{text} {ownership.marker()}" if text else ownership.marker()


def read_description(description: str | None) -> tuple[str, Ownership | None]:
    """Split a live description into its human text and its marker; no readable marker means a foreign key."""
    if not description:
        return "", None
    match = _MARKER.search(description, max(0, len(description) - LONGEST_MARKER))
    if match is None:
        return description, None
    try:
        since = datetime.strptime(match["since"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return description, None
    ownership = Ownership(
        stack=match["stack"],
        key=match["key"],
        generation=int(match["generation"]),
        phase=Phase(match["phase"]),
        since=since,
        protected=match["protected"] is not None,
    )
    return description[: match.start()], ownership

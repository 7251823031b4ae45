"""Ownership, written on the keys themselves: a short marker at the end of a live key's description.

    Checkout summaries [keyform 2 inference-prod/payments-api g2 published 2026-11-21T10:00:00Z to=5d41402a]

The description is the only field of a live key that every generation of the API can change [v3: PATCH takes only
`description`, at most 300 characters], so it is where ownership and progress are kept. After the instant may follow, in
this order: `protected`; `to=`, a digest of the destinations that the secret was published to; `as=`, a digest of the
live name where that does not follow from key and generation; `told=`, a digest of the notice that was sent.

`2` is the form. The first form had no number and no digests: it is read, and rewritten in the second. A marker of
another form, or with anything in it that is not listed here, was written by a later version or edited by hand: it is
nobody's, and never foreign (`read_claim`).

The longest marker (a stack of 40 characters, a key of 56, a generation of five digits, all of the above) is 195
characters: the schema keeps the human text to 100, which fits in 300.

Everyone who may edit descriptions in the portal can write such a marker, and break one. So a marker counts only if
something that the portal cannot write into a description confirms it: above all the live key's own name, which never
changes (`Ownership.fits`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from reconciler.model.names import generation_name

LONGEST_DESCRIPTION = 300
"""Characters that the API takes [D]."""
LAST_GENERATION = 99_999
"""A marker holds no larger number, and with one the longest key's live name is as long as the API takes [D]: 63."""


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


LONGEST_TEXT = 100
"""Characters of human text that fit beside any marker; the schema allows no more."""
FORM = 2
"""The form in which markers are written."""


def digest(words: Iterable[str]) -> str:
    """Eight hexadecimal digits of SHA-256 that tell whether it is the same words, in whatever order; no proof."""
    return hashlib.sha256("\0".join(sorted(set(words))).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who a live key belongs to, and how far it has come; `since` is an instant in UTC, to the second.

    `published_to`, `named` and `notice` are digests (see the top), `""` for none. `form` is that of the marker that it
    was read from.
    """

    stack: str
    key: str
    generation: int
    phase: Phase
    since: datetime
    protected: bool = False
    published_to: str = ""
    named: str = ""
    notice: str = ""
    form: int = FORM

    def fits(self, live_name: str) -> bool:
        """Whether the live name is the one that this generation of this key is made with."""
        return generation_name(self.key, self.generation) == live_name

    def on(self, live_name: str) -> Ownership:
        """The same for a live key of this name, in the form that is written today."""
        return replace(self, named="" if self.fits(live_name) else digest([live_name]), form=FORM)

    def marker(self) -> str:
        """The text at the end of the description."""
        since = self.since.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
        digests = (("to", self.published_to), ("as", self.named), ("told", self.notice))
        words = [
            f"[keyform {FORM} {self.stack}/{self.key} g{self.generation} {self.phase.value} {since}",
            *(["protected"] if self.protected else []),
            *(f"{name}={value}" for name, value in digests if value),
        ]
        return " ".join(words) + "]"


_HEAD = "[keyform "
_MARKER = re.compile(
    r"\[keyform (?P<form>2 )?(?P<stack>[a-z0-9-]+)/(?P<key>[a-z0-9-]+) g(?P<generation>[1-9][0-9]{0,4}) "
    r"(?P<phase>pending|published|adopted|partial|revoked) (?P<since>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z)"
    r"(?P<protected> protected)?"
    r"(?(form)(?: to=(?P<published_to>[0-9a-f]{8}))?(?: as=(?P<named>[0-9a-f]{8}))?"
    r"(?: told=(?P<notice>[0-9a-f]{8}))?)\]"
)
_STACK = re.compile(r"\[keyform (?:[0-9]{1,9} )?(?P<stack>[a-z0-9-]{1,40})/")


class UnwritableDescription(ValueError):
    """A text and a marker that would not be read back as they were written, or that are too long together."""


def compose_description(text: str, ownership: Ownership) -> str:
    """The live description: the human text, then the marker.

    UnwritableDescription when reading it would not give the same, or when the API would not take its length.
    """
    description = f"{text} {ownership.marker()}" if text else ownership.marker()
    written = replace(ownership, since=ownership.since.astimezone(UTC).replace(microsecond=0), form=FORM)
    if len(description) > LONGEST_DESCRIPTION or read_description(description) != (text, written):
        raise UnwritableDescription("the text and the marker do not fit into a description")
    return description


def read_description(description: str | None) -> tuple[str, Ownership | None]:
    """Split a live description into its human text and the marker at its end; None where none can be read."""
    if not description:
        return "", None
    whole = description.rstrip()
    start = whole.rfind(_HEAD)
    match = _MARKER.fullmatch(whole, start) if start >= 0 else None
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
        published_to=match["published_to"] or "",
        named=match["named"] or "",
        notice=match["notice"] or "",
        form=FORM if match["form"] else 1,
    )
    return whole[:start].rstrip(), ownership


def read_claim(description: str | None) -> str | None:
    """The stack named by what looks like a marker, wherever in a description: `""` where not even that can be read.

    None for a description in which nothing looks like one.
    """
    if not description or _HEAD not in description:
        return None
    match = _STACK.search(description)
    return match["stack"] if match else ""

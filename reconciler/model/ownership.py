"""Ownership, written on the keys themselves: a short marker in a live key's description, behind the human text.

    Checkout summaries [keyform 2 inference-prod/payments-api g2 published 2026-11-21T10:00:00Z to=5d41402a]

The description is the only field of a live key that every generation of the API can change [v3: PATCH takes only
`description`, at most 300 characters], so it holds ownership and progress. After the instant may follow, in this order:
`protected`; `exp`, if the expiry is that of an adopted key, and the file sets none; `into=`, a digest of the name of
the key that replaces it; `to=`, a digest of the destinations that the secret was published to; `as=`, a digest of the
live name if that does not follow from key and generation; `told=`, a digest of the notice that was sent; `released`, if
the stack no longer manages it (`forget`): such a key has no owner.

It is read anywhere in the description, since people add text before and after it: everything around it is the human
text. Its words may be spaced differently, or be on several lines.

`2` is the form. The first form had no number and no digests: keyform reads it, and rewrites it in the second. A marker
of another form, or with anything in it that is not listed here, was written by a later version or edited by hand; so is
one of two, and one that is pending and was published or adopted (`to=`, `as=`). It belongs to no stack, and is never
foreign (`read_claim`).

The longest marker (a stack of 40 characters, a key of 56, a generation of five digits, all of the above) is 199
characters, since `into=` is written without `protected` and `exp`, and `released` without `exp` and `told=`: the schema
keeps the human text to 100, which just fits in 300.

Anyone who may edit descriptions in the portal can write such a marker, and break one. So a marker counts only if
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
from typing import NamedTuple

from reconciler.model.names import generation_name

LONGEST_DESCRIPTION = 300
"""Characters that the API takes [D]."""
LAST_GENERATION = 99_999
"""A marker holds no larger number: with it, the longest key's live name is as long as the API accepts [D]: 63."""


class Phase(StrEnum):
    """The progress of a generation."""

    PENDING = "pending"
    """Created, and in no sink that cannot be read back: disposable, unless another sink holds its secret."""
    PUBLISHED = "published"
    """Its secret may have been written to a sink: in use."""
    ADOPTED = "adopted"
    """Taken over from the portal: in use, but its secret is unknown to keyform."""
    PARTIAL = "partial"
    """Being published, or a run ended during that: some sinks may hold its secret. In use, but it replaced nothing."""
    REVOKED = "revoked"
    """Its secret leaked: in use until a successor is published, then cut without an overlap."""


LONGEST_TEXT = 100
"""Characters of human text that fit next to any marker; the schema allows no more."""
FORM = 2
"""The form in which markers are written."""


def digest(words: Iterable[str]) -> str:
    """Eight hexadecimal digits of SHA-256 that show whether the words are the same, in any order; not a proof."""
    return hashlib.sha256("\0".join(sorted(set(words))).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who a live key belongs to, and its progress; `since` is an instant in UTC, to the second.

    `published_to`, `named`, `notice` and `into` are digests (see the top), `""` for none. `form` is that of the marker
    that was read. `keeps_expiry`: the file sets no expiry, and the key keeps that of the adopted key. `released`: the
    stack no longer manages it.
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
    keeps_expiry: bool = False
    into: str = ""
    released: bool = False

    def moved_into(self, key: str, since: datetime) -> Ownership:
        """The same once another key takes its place; that one has its own protection and expiry."""
        return replace(self, into=digest([key]), since=since, protected=False, keeps_expiry=False)

    def let_go(self) -> Ownership:
        """The same once the stack no longer manages it; `prevent_destroy` still binds the next owner."""
        return replace(self, released=True, keeps_expiry=False, into="", notice="")

    def fits(self, live_name: str) -> bool:
        """Whether this generation of this key is created with this live name."""
        return generation_name(self.key, self.generation) == live_name

    def names(self, live_name: str) -> bool:
        """Whether it says that it was written on a live key of this name, which differs from its generation's name.

        That is not a proof: anyone can compute the digest.
        """
        return self.named == digest([live_name])

    def on(self, live_name: str) -> Ownership:
        """The same for a live key of this name, in today's form."""
        return replace(self, named="" if self.fits(live_name) else digest([live_name]), form=FORM)

    def marker(self) -> str:
        """The text at the end of the description."""
        since = self.since.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
        digests = (("into", self.into), ("to", self.published_to), ("as", self.named), ("told", self.notice))
        words = [
            f"[keyform {FORM} {self.stack}/{self.key} g{self.generation} {self.phase.value} {since}",
            *(["protected"] if self.protected else []),
            *(["exp"] if self.keeps_expiry else []),
            *(f"{name}={value}" for name, value in digests if value),
            *(["released"] if self.released else []),
        ]
        return " ".join(words) + "]"


class Identity(NamedTuple):
    """The generation of a key that a marker names; `stack` is `""` if not even that can be read.

    `key` and `generation` are `""` and 0 if they cannot be read.
    """

    stack: str = ""
    key: str = ""
    generation: int = 0


NOBODY = Identity()
_S = r"\s{1,20}"
_MARKER = re.compile(
    rf"\[keyform{_S}(?P<form>2{_S})?(?P<stack>[a-z0-9-]+)/(?P<key>[a-z0-9-]+){_S}g(?P<generation>[1-9][0-9]{{0,4}}){_S}"
    rf"(?P<phase>pending|published|adopted|partial|revoked){_S}(?P<since>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9:]{{8}}Z)"
    rf"(?P<protected>{_S}protected)?"
    rf"(?(form)(?P<keeps_expiry>{_S}exp)?(?:{_S}into=(?P<into>[0-9a-f]{{8}}))?"
    rf"(?:{_S}to=(?P<published_to>[0-9a-f]{{8}}))?(?:{_S}as=(?P<named>[0-9a-f]{{8}}))?"
    rf"(?:{_S}told=(?P<notice>[0-9a-f]{{8}}))?(?P<released>{_S}released)?)\]"
)
_OPEN = r"(?:[\[({<\uff3b\u3010\u27e6]|&(?:#91|#x5b|lbrack|lsqb|lt);|%5b|\\u005b)"
_CLOSE = r"(?:[\])}>\uff3d\u3011\u27e7]|&(?:#93|#x5d|rbrack|rsqb|gt);|%5d|\\u005d)"
_HEAD = re.compile(rf"{_OPEN}[\s\\\"'`*]{{0,20}}keyform(?![\w-])", re.IGNORECASE)
"""The beginning of a marker, whatever became of its bracket, its case and its spaces."""
_TRACE = re.compile(
    r"\bkeyform\s{1,20}(?:\d{1,9}\s{1,20})?[\w-]{1,80}/[\w-]"  # without its bracket
    r"|\bg\d{1,9}\s{1,20}[a-z]{4,20}\s{1,20}\d{4}-\d\d-\d\dt\d\d"  # without its beginning
    rf"|{_OPEN}k(?:e(?:y(?:f(?:o(?:r)?)?)?)?)?\s*\Z",  # cut off
    re.IGNORECASE,
)
_IDENTITY = re.compile(
    r"keyform\s{1,20}(?:[0-9]{1,9}\s{1,20})?(?P<stack>[a-z0-9-]{1,40})/"
    r"(?:(?P<key>[a-z0-9-]{1,56})\s{1,20}(?:g(?P<generation>[1-9][0-9]{0,4})(?![0-9]))?)?",
    re.IGNORECASE,
)
_WHOLE = re.compile(rf"{_HEAD.pattern}(?:.{{0,{LONGEST_DESCRIPTION}}}?{_CLOSE}|.*)", re.IGNORECASE | re.DOTALL)


class UnwritableDescription(ValueError):
    """A text and a marker that could not be read back as written, or that are too long together."""


def compose_description(text: str, ownership: Ownership) -> str:
    """The live description: the human text, then the marker.

    UnwritableDescription if reading it would give something else, or if it is too long for the API.
    """
    description = f"{text} {ownership.marker()}" if text else ownership.marker()
    written = replace(ownership, since=ownership.since.astimezone(UTC).replace(microsecond=0), form=FORM)
    if len(description) > LONGEST_DESCRIPTION or _read(description) != (text, written):
        raise UnwritableDescription("the text and the marker do not fit into a description")
    return description


def read_description(description: str | None) -> tuple[str, Ownership | None]:
    """Split a live description into its human text and the marker in it.

    Without a readable marker, or with another part that looks like one, all of it is text, and the marker is None. The
    same goes for a marker that says `released` (`read_release`).
    """
    text, ownership = _read(description)
    return (description or "", None) if ownership is not None and ownership.released else (text, ownership)


def read_release(description: str | None) -> Ownership | None:
    """Whose a live key was that a stack let go of (`forget`); None for all others."""
    _, ownership = _read(description)
    return ownership if ownership is not None and ownership.released else None


def _read(description: str | None) -> tuple[str, Ownership | None]:
    if not description:
        return "", None
    match = _MARKER.search(description)
    if match is None or any(head.start() != match.start() for head in _HEAD.finditer(description)):
        return description, None
    try:
        since = datetime.strptime(match["since"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return description, None
    if match["phase"] == Phase.PENDING and (match["published_to"] or match["named"]):
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
        keeps_expiry=match["keeps_expiry"] is not None,
        into=match["into"] or "",
        released=match["released"] is not None,
    )
    return join_texts(description[: match.start()], description[match.end() :]), ownership


def join_texts(*texts: str) -> str:
    """The texts, trimmed, with one space between them."""
    return " ".join(filter(None, (text.strip() for text in texts)))


def is_written_behind(description: str | None) -> bool:
    """Whether there is text behind a readable marker: keyform writes none there, so somebody else did."""
    if not description or _read(description)[1] is None:
        return False
    match = _MARKER.search(description)
    return match is not None and bool(description[match.end() :].strip())


def read_claim(description: str | None) -> str | None:
    """The stack named by what looks like a marker, anywhere in a description: `""` if not even that can be read.

    None for a description without anything that looks like one.
    """
    identity = read_identity(description)
    return None if identity is None else identity.stack


def read_identity(description: str | None) -> Identity | None:
    """The readable part of a marker that cannot be read whole; empty for two that differ. None if there is none."""
    if not description or not (_HEAD.search(description) or _TRACE.search(description)):
        return None
    found = {
        Identity(match["stack"].lower(), (match["key"] or "").lower(), int(match["generation"] or 0))
        for match in _IDENTITY.finditer(description)
    }
    if len(found) == 1:
        return found.pop()
    stacks = {identity.stack for identity in found}
    return Identity(stacks.pop()) if len(stacks) == 1 else Identity()


def human_text(description: str) -> str:
    """The human text of a description whose marker cannot be read, without what looks like one."""
    return join_texts(*_WHOLE.split(description))

"""Which differences from what was sent a server may make when it stores a value."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.model.times import shift

CLOSE = timedelta(days=1)
"""How far the expiry of a generation may be from what its `lifetime` says.

Its expiry and its marker get their instants at two moments, by clocks that may differ, and a server may keep whole
days: if every second counted, each apply would create a new generation.
"""
AN_HOUR = timedelta(hours=1)
_BLANKS = re.compile("^ +| +$| {2,}")
_A_BLANK = "\N{OPEN BOX}"


def as_kept(text: str) -> str:
    """A description as services store one: composed (NFC) and trimmed. Both sides are compared like this."""
    return unicodedata.normalize("NFC", text).strip()


@dataclass(frozen=True, slots=True)
class Length:
    """Marks an expiry that comes from a length of time (`lifetime`), not from a date; `overlap` has to fit in it."""

    overlap: timedelta


def is_kept(asked: datetime | None, kept: datetime | None, length: Length | None, now: datetime) -> bool:
    """Whether a live key's expiry matches the requested one; None is never.

    A date has to match to the second. A length may be off by a day, but the next apply must not replace the key: at
    least half of the time until its overlap begins has to be left, or an hour.
    """
    asked = asked and asked.replace(microsecond=0)
    if length is None or asked is None or kept is None:
        return kept == asked
    if abs(kept - asked) > CLOSE:
        return False
    enough = min((shift(asked, -length.overlap) - now) / 2, AN_HOUR)
    return kept >= asked or (kept > now and shift(kept, -length.overlap) - now >= enough)


def tell_apart(one: str, other: str) -> tuple[str, str]:
    """Two texts that differ, shown so that a reader sees it: if they look alike, non-ASCII characters appear as
    escapes, and several blanks, or those at an end, as `␣`, for a line of output may leave them out.

    A backslash, which could look like an escape, appears as one, too.
    """
    alike = _look_alike(one, other)
    if alike or "\\" in one + other:
        one, other = (text.encode("unicode_escape").decode("ascii") for text in (one, other))
    if alike:
        one, other = (_BLANKS.sub(lambda found: _A_BLANK * len(found[0]), text) for text in (one, other))
    return one, other


def _look_alike(one: str, other: str) -> bool:
    if _outline(one) == _outline(other):
        return True
    differing = [pair for pair in zip(one, other, strict=False) if pair[0] != pair[1]]
    # A letter of another alphabet that is drawn as one of ours, a longer dash.
    return len(one) == len(other) and all(min(pair) < "\x80" <= max(pair) for pair in differing)


def _outline(text: str) -> str:
    """What a reader sees at a glance: letters without their marks, and one blank for several."""
    plain = (char for char in unicodedata.normalize("NFKD", text) if unicodedata.category(char) not in ("Mn", "Cf"))
    return " ".join("".join(plain).split())

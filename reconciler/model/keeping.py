"""What a server may make of what it is asked to keep, and still have kept it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.model.times import shift

CLOSE = timedelta(days=1)
"""How far the expiry of a generation may be from what its `lifetime` says, and be left alone.

Its expiry and its marker were told at two moments, by clocks that may not agree, and a server may keep whole days: were
every second to count, there would be a new generation with every apply.
"""
AN_HOUR = timedelta(hours=1)
_BLANKS = re.compile("(?<= ) |^ | $")


def as_kept(text: str) -> str:
    """A description as services keep one: composed (NFC), and without blanks around it. Both sides are compared so."""
    return unicodedata.normalize("NFC", text).strip()


@dataclass(frozen=True, slots=True)
class Length:
    """Says of an expiry that it comes of a length of time (`lifetime`), and not of a date; `overlap` has to fit in."""

    overlap: timedelta


def is_kept(asked: datetime | None, kept: datetime | None, length: Length | None, now: datetime) -> bool:
    """Whether the expiry that a live key has is the one that it was to have; None is never.

    A date is kept to the second, or not at all. Of a length, a day more or less is tolerated, but not so much less that
    the next apply would replace the key: half of the time until its overlap begins has to be left, or an hour.
    """
    asked = asked and asked.replace(microsecond=0)
    if length is None or asked is None or kept is None:
        return kept == asked
    if abs(kept - asked) > CLOSE:
        return False
    enough = min((shift(asked, -length.overlap) - now) / 2, AN_HOUR)
    return kept >= asked or (kept > now and shift(kept, -length.overlap) - now >= enough)


def tell_apart(one: str, other: str) -> tuple[str, str]:
    """Two texts that differ, so that a reader sees it: where they look alike, what is not ASCII appears as an escape.

    So does a blank that follows a blank, which a line of output may leave out. What has backslashes is escaped as well:
    it could look like an escape.
    """
    if "\\" in one + other or _look_alike(one, other):
        one, other = (text.encode("unicode_escape").decode("ascii") for text in (one, other))
    return _BLANKS.sub(r"\\x20", one), _BLANKS.sub(r"\\x20", other)


def _look_alike(one: str, other: str) -> bool:
    if _outline(one) == _outline(other):
        return True
    differing = [pair for pair in zip(one, other, strict=False) if pair[0] != pair[1]]
    # A letter of another alphabet that is drawn as one of ours, a longer dash.
    return len(one) == len(other) and all(min(pair) < "\x80" <= max(pair) for pair in differing)


def _outline(text: str) -> str:
    """What a hasty eye sees: letters without their marks, and one blank for several."""
    plain = (char for char in unicodedata.normalize("NFKD", text) if unicodedata.category(char) not in ("Mn", "Cf"))
    return " ".join("".join(plain).split())

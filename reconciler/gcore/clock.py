"""The time by the API's clock, from the `Date` header of its answers.

One clock decides whether a rotation is due, an overlap has ended or a lock has expired, on whatever machine keyform
runs: the API's, which also enforces every `expires_at`.

An answer's `Date` is cut off to whole seconds and was written at some moment between sending and receiving. So it gives
an interval, about a second wide, for the offset between the two clocks. The offset is the value nearest to zero: a
machine whose clock may be right is trusted. The median of the latest answers counts, so that a single absurd date
changes nothing, and a machine whose clock is set while keyform runs is trusted again.

A date more than ten years off is ignored: it comes from a counter that began at zero or a field that overflowed, and a
machine that far off could not even verify the API's certificate. Within that, keyform trusts the API, however far off
the machine is: a laptop that has slept, or an emulator that plays a year in a minute, is wrong by months. A run that
changes something has read several answers by then.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from reconciler.http_failures import read_date
from reconciler.model import shift

LATEST = 9
"""How many answers the offset is taken from."""
LONGEST_ROUND_TRIP = timedelta(seconds=10)
"""An answer that took longer says too little about when it was written."""
ABSURD = timedelta(days=3653)
"""A date further off than this, either way, does not come from a clock."""
WORTH_TELLING = timedelta(seconds=30)
"""A larger difference than a network explains: the machine's clock is wrong."""

_SECOND = timedelta(seconds=1)
_NONE = timedelta(0)


class ApiClock:
    """The API's clock, estimated from its answers; without any, the machine's. Safe between threads."""

    def __init__(self, local: Callable[[], datetime], tell: Callable[[str], None] = lambda _: None) -> None:
        """`local` is the machine's clock; `tell` gets one sentence, once, if the two are far apart."""
        self._local = local
        self._tell = tell
        self._guard = threading.Lock()
        self._offsets: deque[timedelta] = deque(maxlen=LATEST)
        self._told = False

    def note(self, date: str | None, *, sent: datetime, received: datetime) -> None:
        """Take an answer's `Date` into account; `sent` and `received` are instants of the machine's clock."""
        written = read_date(date)
        if written is None or not _NONE <= received - sent <= LONGEST_ROUND_TRIP:
            return
        earliest, latest = written - received, written - sent + _SECOND
        offset = _NONE if earliest <= _NONE <= latest else earliest + (latest - earliest) / 2
        if abs(offset) <= ABSURD:
            with self._guard:
                self._offsets.append(offset)

    @property
    def offset(self) -> timedelta:
        """How far the API's clock is ahead of the machine's; negative if it is behind, zero if unknown."""
        with self._guard:
            known = sorted(self._offsets)
        # Of two in the middle, the one nearer to zero.
        return min(known[(len(known) - 1) // 2], known[len(known) // 2], key=abs) if known else _NONE

    @property
    def skew(self) -> timedelta | None:
        """The same; None when nothing tells."""
        return self.offset if self._offsets else None

    def now(self) -> datetime:
        """The instant for a decision, aware and in UTC."""
        offset = self.offset
        if abs(offset) > WORTH_TELLING:
            with self._guard:
                told, self._told = self._told, True
            if not told:
                self._tell(describe(offset))
        return shift(self._local(), offset)

    def glance(self) -> datetime:
        """The same instant for what decides nothing: without a warning."""
        return shift(self._local(), self.offset)


def describe(offset: timedelta) -> str:
    """The warning about clocks that are so far apart."""
    side = "behind" if offset > _NONE else "ahead of"
    return (
        f"This machine's clock is {_length(abs(offset))} {side} the API's."
        " What is due, and since when, is decided by the API's clock; set this machine's."
    )


def _length(length: timedelta) -> str:
    """Rounded, in the two largest units that count: `2 hours`, `3 days 4 hours`."""
    seconds = round(length.total_seconds())
    parts: list[str] = []
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
    return " ".join(parts[:2])

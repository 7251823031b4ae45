"""Arithmetic on instants that somebody else wrote: it saturates, where that of `datetime` is an OverflowError."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EARLIEST = datetime.min.replace(tzinfo=UTC)
"""The first instant there is; what a service in Go sends for a time that nobody set."""
LATEST = datetime.max.replace(tzinfo=UTC)
"""The last instant there is."""
_CLOSE = timedelta(seconds=2)


def shift(instant: datetime, delta: timedelta) -> datetime:
    """The instant moved by `delta`, in UTC: EARLIEST or LATEST when it would pass them. A naive one is in UTC."""
    offset = instant.utcoffset() or timedelta(0)
    try:
        return instant.replace(tzinfo=UTC) + (delta - offset)
    except OverflowError:
        return EARLIEST if delta < offset else LATEST


def are_close(one: datetime, other: datetime) -> bool:
    """Whether two readings can be of the same moment: at most two seconds apart.

    One of them may have a fraction of a second, and another be rounded up. Told apart by that, each generation would be
    unknown as soon as it is listed, and be replaced at every apply.
    """
    return abs(one - other) <= _CLOSE

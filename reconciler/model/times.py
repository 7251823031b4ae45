"""Arithmetic on instants that others wrote: it saturates, where that of `datetime` raises OverflowError."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EARLIEST = datetime.min.replace(tzinfo=UTC)
"""The first instant; a service in Go sends it for a time that was never set."""
LATEST = datetime.max.replace(tzinfo=UTC)
"""The last instant."""
_CLOSE = timedelta(seconds=2)


def shift(instant: datetime, delta: timedelta) -> datetime:
    """The instant moved by `delta`, in UTC: EARLIEST or LATEST if it would pass them. A naive one is in UTC."""
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

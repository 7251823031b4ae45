"""Instants and spans as people say them: `3 hours ago`, `in 41 days`."""

from __future__ import annotations

from datetime import datetime, timedelta

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""In English wherever keyform runs, which `strftime` would not give."""

# (from how many seconds on, seconds in the unit, its name); the first that fits. A unit starts at two of it, so that
# `36 hours` is not shown as one day: half of the number would be lost.
_UNITS = (
    (2 * 365 * 86400, 365 * 86400, "year"),
    (100 * 86400, 30 * 86400, "month"),
    (2 * 86400, 86400, "day"),
    (2 * 3600, 3600, "hour"),
    (2 * 60, 60, "minute"),
    (0, 1, "second"),
)


def span(length: timedelta) -> str:
    """How long, in one unit, rounded down; of a negative length the absolute value."""
    seconds = int(abs(length).total_seconds())
    count, unit = next((seconds // size, name) for start, size, name in _UNITS if seconds >= start)
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def relative(instant: datetime, now: datetime) -> str:
    """`in 41 days`, `3 hours ago`, or `now` within the second."""
    seconds = (instant - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {span(instant - now)}" if seconds > 0 else f"{span(now - instant)} ago"


def elapsed(seconds: float) -> str:
    """How long a step took: `0.4s`, `12s`, `3m 05s`."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m {whole % 60:02}s"

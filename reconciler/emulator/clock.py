"""Time as an argument: the emulator asks a clock for the time, never the machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Anything that knows the time."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""


class RealClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)


class VirtualClock:
    """A clock that moves only when a test moves it."""

    def __init__(self, start: datetime | None = None) -> None:
        """Start at the aware instant `start` (2026-01-01T00:00:00Z by default)."""
        start = start or datetime(2026, 1, 1, tzinfo=UTC)
        if start.tzinfo is None:
            raise ValueError("a virtual clock starts at an aware datetime")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`; time never runs backwards."""
        if seconds < 0:
            raise ValueError("a virtual clock only moves forward")
        self._now += timedelta(seconds=seconds)

    def copy(self) -> VirtualClock:
        """Another clock that shows the same time and moves independently."""
        return VirtualClock(self._now)


def micros(instant: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z: how the store keeps an instant, exactly."""
    return (instant - EPOCH) // MICROSECOND


def instant(microseconds: int) -> datetime:
    """The aware UTC datetime of a count of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=microseconds)


def parse_instant(text: str) -> datetime:
    """An ISO 8601 string as an aware UTC instant; no zone means UTC, a date alone means 00:00. ValueError if neither.

    [D]: `expires_at` is "in ISO 8601 format"; the portal reads a date as midnight UTC.
    """
    value = datetime.fromisoformat(text)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(value: datetime) -> str:
    """An instant as the `Date` header has it: `Sat, 21 Nov 2026 10:00:00 GMT`, cut off to whole seconds [RFC 9110]."""
    moment = value.astimezone(UTC)
    date = f"{moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04}"
    return f"{_DAYS[moment.weekday()]}, {date} {moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"

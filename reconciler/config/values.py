"""Texts of the file -> the model's values: durations, instants."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

LONGEST = timedelta(days=3650)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_INSTANT = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"([Tt ](?P<time>[0-9]{2}:[0-9]{2})(:(?P<second>[0-9]{2})(\.[0-9]{1,6})?)?"
    r" ?(?P<zone>[Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?)?",
    re.ASCII,
)


def parse_duration(text: str) -> timedelta | None:
    """`90s`, `30m`, `12h`, `60d` or `8w`; None for anything else, or for more than ten years."""
    digits, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        return None
    try:
        duration = timedelta(**{_UNITS[unit]: int(digits)})
    except OverflowError:
        return None
    return duration if duration <= LONGEST else None


def write_duration(length: timedelta) -> str:
    """A length of time as the file has it, in the largest unit that divides it: `7d`, `36h`, `90s`."""
    seconds = round(length.total_seconds())
    unit, size = next((u, s) for u, s in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if seconds % s == 0)
    return f"{seconds // size}{unit}" if seconds else "0s"


def lacks_zone(text: str) -> bool:
    """Whether a text is a date and time without a zone."""
    match = _INSTANT.fullmatch(text)
    return match is not None and match["time"] is not None and match["zone"] is None


def parse_instant(text: str) -> datetime | None:
    """An instant in UTC from a date (00:00 UTC) or a date and time with its zone; None if it is neither.

    To the second: a fraction is dropped, as in live expiries, so that both compare.
    """
    match = _INSTANT.fullmatch(text)
    if match is None or lacks_zone(text):
        return None
    try:
        local = datetime.strptime(f"{match['date']} {match['time'] or '00:00'}", "%Y-%m-%d %H:%M").replace(
            second=int(match["second"] or 0),
            tzinfo=_parse_zone(match["zone"] or "Z"),
        )
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _parse_zone(text: str) -> timezone:
    if text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes >= 60 or offset > timedelta(hours=14):
        raise ValueError("no zone is that far from UTC")
    return timezone(-offset if text[0] == "-" else offset)

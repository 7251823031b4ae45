"""The one comparator: the differences that decide are those that are shown and sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from reconciler.plan.changes import FieldDiff

Value = str | bool | int | None


def instant(value: datetime | None) -> str:
    """An instant as JSON and people read it (ISO 8601, UTC, whole seconds unless it has a fraction), or `never`."""
    if value is None:
        return "never"
    moment = value.astimezone(UTC)
    return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


def duration(length: timedelta) -> str:
    """A length of time in the file's own form, in the largest unit that divides it: `7d`, `36h`, `90s`."""
    seconds = round(length.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def compare_fields(live: Mapping[str, Value], desired: Mapping[str, Value]) -> tuple[FieldDiff, ...]:
    """The fields that differ, in order of name: `==` decides. Both sides are normalised and have the same fields."""
    return tuple(FieldDiff(path, live[path], desired[path]) for path in sorted(live) if live[path] != desired[path])

"""A sink's record in plain words, as stores keep it beside a secret."""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.model import SinkRecord


def format_instant(instant: datetime) -> str:
    """An aware instant in UTC, to the microsecond: `2026-11-21T10:00:00.123456Z`, always of this length."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_instant(text: str) -> datetime | None:
    """The instant that ISO 8601 text names, in UTC; None when it names none, or has no zone."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant.astimezone(UTC) if instant.tzinfo is not None else None


def record_to_fields(record: SinkRecord) -> dict[str, str | int]:
    """What is kept of a record beside the secret; the key is not in it, since it is where the record stands."""
    return {
        "stack": record.stack,
        "generation": record.generation,
        "live_name": record.live_name,
        "created_at": format_instant(record.created_at),
    }


def record_from_fields(key: str, fields: object) -> SinkRecord | None:
    """The record that was kept; None when it is damaged: not what `record_to_fields` gives."""
    match fields:
        case {
            "stack": str(stack),
            "generation": int(generation),
            "live_name": str(live_name),
            "created_at": str(created_at),
        } if stack and live_name and generation >= 1 and not isinstance(generation, bool):
            instant = parse_instant(created_at)
            return None if instant is None else SinkRecord(stack, key, generation, live_name, instant)
        case _:
            return None

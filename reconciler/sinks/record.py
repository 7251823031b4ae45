"""A sink's record in plain words, as stores keep it beside a secret."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from reconciler.model import SinkRecord

LONGEST_SECRET = 4096
"""Characters: what is longer is no API key, whoever says so."""
KEY_FORM = "[a-z0-9-]{1,100}"
"""A key's name as records have it; whoever wrote them may have written anything."""
LIVE_NAME_FORM = "[!-~]{1,100}"
HIGHEST_GENERATION = 999_999_999
_KEY = re.compile(KEY_FORM)
_LIVE_NAME = re.compile(LIVE_NAME_FORM)


def format_instant(instant: datetime) -> str:
    """An aware instant in UTC, to the microsecond: `2026-11-21T10:00:00.123456Z`, always of this length."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_instant(text: str) -> datetime | None:
    """The instant that ISO 8601 text names, in UTC; None when it names none, has no zone, or is in no year of ours."""
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC) if instant.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


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
        } if (
            stack
            and 1 <= generation <= HIGHEST_GENERATION
            and not isinstance(generation, bool)
            and _KEY.fullmatch(key)
            and _LIVE_NAME.fullmatch(live_name)
        ):
            instant = parse_instant(created_at)
            return None if instant is None else SinkRecord(stack, key, generation, live_name, instant)
        case _:
            return None

"""A sink's record in plain words, as stores keep it next to a secret."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from reconciler.model import RECORD_FORM, RELEASED, LaterRecord, SinkRecord

LONGEST_SECRET = 4096
"""Characters: nothing longer is an API key, whoever claims it."""
KEY_FORM = "[a-z0-9-]{1,100}"
"""A key's name as records have it; their author may have written anything."""
STACK_FORM = rf"(?:{re.escape(RELEASED)})?{KEY_FORM}"
"""A stack's, which may have released the key."""
LIVE_NAME_FORM = "[!-~]{1,100}"
API_FORM = "[!-.0-~]{1,300}"
"""A host, maybe with a port."""
HIGHEST_GENERATION = 999_999_999
HIGHEST_PROJECT = 10**18
HIGHEST_FORM = 999_999_999
UPDATE_KEYFORM = f"Update keyform: this version reads records up to format {RECORD_FORM}."
_KEY = re.compile(KEY_FORM)
_LIVE_NAME = re.compile(LIVE_NAME_FORM)
_API = re.compile(API_FORM)


def format_instant(instant: datetime) -> str:
    """An aware instant in UTC, to the second, as the API renders it in a reading: `2026-11-21T10:00:00Z`."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def parse_instant(text: str) -> datetime | None:
    """The instant that ISO 8601 text names, in UTC; None if it names none, has no zone, or is out of range."""
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC) if instant.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def record_to_fields(record: SinkRecord) -> dict[str, str | int]:
    """The stored fields of a record; not the key, since the record is in its place."""
    return {
        "form": RECORD_FORM,
        "api": record.api,
        "project": record.project,
        "stack": record.stack,
        "generation": record.generation,
        "live_name": record.live_name,
        "created_at": format_instant(record.created_at),
    }


def record_from_fields(key: str, fields: object) -> SinkRecord | LaterRecord | None:
    """The record of these fields, in this form or in the first one, which had neither `form`, `api` nor `project`.

    None if it is damaged: not what `record_to_fields` gives, or gave.
    """
    match fields:
        case {"form": int(form)} if form > RECORD_FORM and not isinstance(form, bool):
            return LaterRecord(key, min(form, HIGHEST_FORM))
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
            instant, place = parse_instant(created_at), _place_from_fields(fields)
            return SinkRecord(stack, key, generation, live_name, instant, *place) if instant and place else None
        case _:
            return None


def _place_from_fields(fields: object) -> tuple[str, int, int] | None:
    """API, project and form; None if they are not valid."""
    match fields:
        case {"form": 2, "api": str(api), "project": int(project)} if (
            (not api or _API.fullmatch(api)) and not isinstance(project, bool) and 0 <= project <= HIGHEST_PROJECT
        ):
            return api, project, RECORD_FORM
        case {"form": _}:
            return None
        case _:
            return "", 0, 1


def explain_later(later: LaterRecord) -> str:
    """Why a key is held up whose record a later version of keyform wrote."""
    return f"the record of {later.key} has the format {later.form} of a later version of keyform"

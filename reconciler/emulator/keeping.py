"""What a server may store instead of what it was sent, in the modes in which it takes liberties."""

from __future__ import annotations

import html
import sqlite3
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal

from reconciler.emulator.clock import instant
from reconciler.emulator.wire import NO_CONTENT, Answer, json_answer
from reconciler.emulator.world import World

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SHORT = 120
"""Characters that are left of a truncated description."""
Telling = Literal["list", "alone", "create"]
"""The kind of an answer about a key: a list, one key alone, or its create."""


def keep_expiry(world: World, microseconds: int | None) -> int | None:
    """The stored instant of an `expires_at`; None for never."""
    if microseconds is None:
        return None
    match world.modes.expiry_kept:
        case "exact":
            return microseconds
        case "end_of_day":
            return microseconds - microseconds % DAY + DAY - SECOND
        case "midnight" | "date":
            return microseconds - microseconds % DAY
        case "to_the_minute":
            return -(-microseconds // MINUTE) * MINUTE
        case "an_hour_later":
            return microseconds + HOUR
        case "dropped":
            return None


def keep_description(world: World, text: str | None) -> str | None:
    """The stored text of a description."""
    if text is None:
        return None
    match world.modes.description_kept:
        case "as_sent":
            return text
        case "trimmed":
            return text.strip()
        case "composed":
            return unicodedata.normalize("NFC", text)
        case "decomposed":
            return unicodedata.normalize("NFD", text)
        case "compatible":
            return unicodedata.normalize("NFKC", text)
        case "ascii":
            return text.encode("ascii", "replace").decode()
        case "escaped":
            return html.escape(text)
        case "folded":
            return " ".join(text.split())
        case "cut":
            return text[:SHORT]
        case "dropped":
            return None


def tell_created_at(world: World, row: sqlite3.Row, telling: Telling) -> str | None:
    """A key's `created_at` as an answer shows it."""
    created_at: int = row["created_at"]
    if world.modes.created_at_told == "otherwise_alone" and telling != "list":
        created_at -= HOUR
    if world.modes.created_at_told == "finer_at_first":
        if telling == "create":
            return world.timestamp("created_at", created_at, form="naive")
        created_at = -(-created_at // SECOND) * SECOND
    return world.timestamp("created_at", created_at)


def tell_expires_at(world: World, row: sqlite3.Row) -> str | None:
    """A key's `expires_at` as every answer shows it."""
    if world.modes.expiry_kept == "date" and row["expires_at"] is not None:
        return f"{instant(row['expires_at']):%Y-%m-%d}"
    return world.timestamp("expires_at", row["expires_at"])


def answer_patch(world: World, before: Mapping[str, Any], after: Mapping[str, Any], sent: Mapping[str, Any]) -> Answer:
    """The answer to a PATCH of a key that was shown as `before`, and is shown as `after` now."""
    match world.modes.key_answers:
        case "what_is_kept":
            return json_answer(200, after)
        case "what_was_sent":
            return json_answer(200, echo(world, after, sent))
        case "nothing":
            return NO_CONTENT
        case "as_it_was":
            return json_answer(200, before)


def echo(world: World, shown: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """A key as it is shown, or with the values of the request instead of the stored ones."""
    if world.modes.key_answers != "what_was_sent":
        return dict(shown)
    return {**shown, **{name: value for name, value in sent.items() if name in shown}}

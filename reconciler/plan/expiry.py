"""Dates in the past: right for a key that has had its date since it was live, and wrong for any that is to be made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from reconciler.errors import Finding
from reconciler.model import DesiredKey, DesiredState, LiveKey
from reconciler.plan.changes import Note
from reconciler.plan.fields import instant


@dataclass(frozen=True, slots=True)
class PastDates:
    """The dates that are refused, and those of live keys, which only are worth a word."""

    findings: tuple[Finding, ...] = ()
    notes: tuple[Note, ...] = ()


def find_past_dates(desired: DesiredState, live_keys: tuple[LiveKey, ...] | None, now: datetime) -> PastDates:
    """Every `expires_at` that is over, judged by what is live; without that (None), each is refused.

    A live key keeps its date, whatever that is. One that is to be made, because there is none, or because its date
    differs, would open nothing.
    """
    findings, notes = [], []
    for key in desired.keys:
        if key.expires_at is None or key.expires_at > now:
            continue
        said = f"expires_at {instant(key.expires_at)} is in the past"
        newest = None if live_keys is None else _newest(desired.stack, key, live_keys)
        if newest is not None and newest.expires_at == key.expires_at:
            notes.append(Note("key_has_expired", f"key.{key.name}", f"{said}: {newest.name} is live, and has expired"))
            continue
        findings.append(Finding(key.place.where, f"{key.place.path}.expires_at", *_explain(said, newest, live_keys)))
    return PastDates(tuple(findings), tuple(notes))


def _explain(said: str, newest: LiveKey | None, live_keys: tuple[LiveKey, ...] | None) -> tuple[str, str]:
    """The finding's message, and the way out."""
    if live_keys is None:
        way_out = "Give a later date, or never. If the key is live already, `keyform validate --live` sees that."
        return f"{said}, so a new key would open nothing", way_out
    if newest is None:
        return f"{said}, and no live key has it, so a new one would open nothing", "Give a later date, or never."
    has = f"expires {instant(newest.expires_at)}" if newest.expires_at else "never expires"
    message = f"{said}, and the live key {newest.name} {has}: a new generation with that date would open nothing"
    return message, "Give a later date, or never. To take the key's access away now, remove it from the file."


def _newest(stack: str, key: DesiredKey, live_keys: tuple[LiveKey, ...]) -> LiveKey | None:
    """The newest live key that embodies it, or the one that it is to take over."""
    own = list(_own(stack, key, live_keys))
    if own:
        return max(own)[1]
    return next((live for live in live_keys if live.name == key.adopt and live.ownership is None), None)


def _own(stack: str, key: DesiredKey, live_keys: tuple[LiveKey, ...]) -> Iterator[tuple[int, LiveKey]]:
    for live in live_keys:
        own = live.ownership
        if (
            own is not None
            and (own.stack, own.key) == (stack, key.name)
            and (own.fits(live.name) or live.name == key.adopt)
        ):
            yield own.generation, live

"""Dates in the past: right for a key that was live until its date, and wrong for one that is yet to be created."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.errors import Finding
from reconciler.model import DesiredState, LiveKey, Snapshot
from reconciler.plan.cases import gather_cases, gather_facts
from reconciler.plan.changes import Note
from reconciler.plan.fields import instant


@dataclass(frozen=True, slots=True)
class PastDates:
    """The refused dates, and those of live keys, which only get a note."""

    findings: tuple[Finding, ...] = ()
    notes: tuple[Note, ...] = ()


def find_past_dates(desired: DesiredState, live_keys: tuple[LiveKey, ...] | None, now: datetime) -> PastDates:
    """Every `expires_at` in the past, judged by the live keys; without them (None), each is refused.

    A live key keeps its date, whatever that is. A key that is yet to be created, because there is none, or because its
    date differs, would open nothing.
    """
    findings, notes = [], []
    for case in gather_cases(gather_facts(desired, Snapshot(keys=live_keys or ()), now)):
        key = case.desired
        if key is None or key.expires_at is None or key.expires_at > now:
            continue
        said = f"expires_at {instant(key.expires_at)} is in the past"
        newest = case.generations[-1].live if case.generations else None
        if newest is not None and newest.expires_at == key.expires_at:
            notes.append(Note("key_has_expired", f"key.{key.name}", f"{said}: {newest.name} is live, and has expired"))
            continue
        message, way_out = _explain(said, newest, live_keys)
        path = f"{key.place.path}.expires_at"
        findings.append(Finding(key.place.where, path, message, way_out, rule="date_is_past"))
    return PastDates(tuple(findings), tuple(notes))


def _explain(said: str, newest: LiveKey | None, live_keys: tuple[LiveKey, ...] | None) -> tuple[str, str]:
    """The finding's message, and the way out."""
    if live_keys is None:
        way_out = "Set a later date, or `never`. If the key is already live, run `keyform validate --live`."
        return f"{said}, so a new key would be unusable", way_out
    if newest is None:
        return f"{said}, and the key does not exist yet: it would be unusable", "Set a later date, or `never`."
    has = f"expires on {instant(newest.expires_at)}" if newest.expires_at else "never expires"
    message = f"{said}, and the live key {newest.name} {has}: a new generation with that date would be unusable"
    return message, "Set a later date, or `never`. To revoke access now, remove the key from the file."

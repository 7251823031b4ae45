"""What falls due: the keys that an apply within some time would rotate, if nothing but time passes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.encoder import one_line, shown
from reconciler.model import DesiredState, Snapshot, shift
from reconciler.plan.cases import KeyCase, gather_cases
from reconciler.plan.changes import Reason
from reconciler.plan.fields import duration, instant
from reconciler.plan.rules import due_by_age, find_reason_for_successor, next_rotation
from reconciler.report.json import FORMAT_VERSION, dump
from reconciler.report.terminal import pad, widest
from reconciler.report.times import relative


@dataclass(frozen=True, slots=True)
class Due:
    """A rotation that falls due: of which key, the live name of its newest generation, when, and why."""

    key: str
    live_name: str
    due_at: datetime
    reason: Reason


def list_due(desired: DesiredState, snapshot: Snapshot, now: datetime, within: timedelta) -> tuple[Due, ...]:
    """All that fall due until `now + within`, the next first; what is due already is due `now`."""
    found = (find_due(case) for case in gather_cases(desired, snapshot, now))
    return tuple(
        sorted(
            (due for due in found if due is not None and due.due_at <= shift(now, within)),
            key=lambda due: (due.due_at, due.key),
        )
    )


def find_due(case: KeyCase) -> Due | None:
    """When the key's newest generation is to be replaced, by the planner's own rules; None if time alone does not."""
    key, newest = case.desired, case.newest_in_use
    if key is None or newest is None:
        return None
    if reason := find_reason_for_successor(case, key, newest):
        return Due(case.name, newest.name, case.now, reason)
    at = next_rotation(case)
    if at is None:
        return None
    if key.every is not None and at == due_by_age(key, newest):
        return Due(case.name, newest.name, at, Reason("rotation_is_due", f"rotation.every is {duration(key.every)}"))
    expires = f"it expires {instant(newest.live.expires_at)}, and the overlap takes {duration(key.overlap)}"
    return Due(case.name, newest.name, at, Reason("expiry_is_near", expires))


def render_due(found: tuple[Due, ...], now: datetime, within: timedelta) -> str:
    """One line for each: when, how long until then, which key, and why."""
    if not found:
        return f"Nothing falls due within {duration(within)}.\n"
    column = widest(due.key for due in found)
    lines = [
        f"{instant(due.due_at.replace(microsecond=0))}  {pad(when(due, now), 10)}  "
        f"{pad(shown(due.key), column)}  {one_line(due.reason.sentence)}"
        for due in found
    ]
    return "\n".join([*lines, "", "An apply rotates each of them once it is due."]) + "\n"


def when(due: Due, now: datetime) -> str:
    """`now`, or how long until then."""
    return "now" if due.due_at <= now else relative(due.due_at, now)


def due_to_json(found: tuple[Due, ...], now: datetime, within: timedelta) -> str:
    """The same as data: instants are ISO 8601 in UTC, lengths of time in seconds."""
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "now": instant(now),
            "within_seconds": round(within.total_seconds()),
            "due": [
                {
                    "key": due.key,
                    "live_name": due.live_name,
                    "due_at": instant(due.due_at),
                    "seconds_left": max(0, round((due.due_at - now).total_seconds())),
                    "reason": due.reason.code,
                    "sentence": due.reason.sentence,
                }
                for due in found
            ],
        }
    )

"""Locks as lines for people, and as JSON."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from reconciler.encoder import shown
from reconciler.model import FoundLock, HolderState, LockOf, LockReport
from reconciler.plan.fields import instant
from reconciler.report.json import FORMAT_VERSION, Value, dump
from reconciler.report.times import relative, span

MOST_OTHERS = 5
WHAT = {
    LockOf.STACK: "the lock of the stack",
    LockOf.LISTS: "the lock of the project's lists of keys, which its stacks share",
    LockOf.FILE: "the lock file of the stack",
}
STATES = {
    HolderState.RUNS: " (a process of this number runs on this machine)",
    HolderState.ENDED: " (this process of this machine has ended)",
    HolderState.UNKNOWN: "",
}


def render_locks(report: LockReport) -> str:
    """Each lock with its holder, since when, and until when; without one, one line that says so."""
    if report.is_locked:
        head = f"Stack {shown(report.stack)} is locked."
    else:
        head = f"Stack {shown(report.stack)} is not locked."
        if report.kind == "none":
            head += " The file declares no lock: nothing keeps two applies apart."
    lines = [head]
    for lock in report.locks:
        lines += ["", f"{shown(lock.name)}: {WHAT[lock.of]}", *_rows(lock, report.now)]
    if report.others:
        lines += ["", "Other stacks of the project, which keep this one out of nothing:"]
        lines += [f"  {shown(lock.name)}, held by {shown(lock.holder)}" for lock in report.others[:MOST_OTHERS]]
        if len(report.others) > MOST_OTHERS:
            lines.append(f"  and {len(report.others) - MOST_OTHERS} more")
    return "\n".join(lines) + "\n"


def _rows(lock: FoundLock, now: datetime) -> list[str]:
    rows = [f"  holder   {shown(lock.holder)}{STATES[lock.holder_state]}"]
    if lock.since is not None:
        age = f", {span(now - lock.since)} ago" if now > lock.since else ""
        rows.append(f"  since    {instant(lock.since)}{age}")
    if lock.of is LockOf.FILE:
        rows.append("  expires  when its process ends")
    elif lock.expires_at is None:
        rows.append("  expires  never")
    elif lock.is_held:
        rows.append(f"  expires  {instant(lock.expires_at)}, {relative(lock.expires_at, now)}, unless it is renewed")
    else:
        rows.append(
            f"  expired  {instant(lock.expires_at)}, {relative(lock.expires_at, now)}: the next apply removes it"
        )
    if lock.hindrance:
        rows.append(f"  stays    {shown(lock.hindrance)}; {shown(lock.way_out)}")
    return rows


def locks_to_json(report: LockReport, *, released: Collection[FoundLock] = ()) -> str:
    """The same as data: instants are ISO 8601 in UTC, lengths of time in seconds. `others` are of other stacks.

    `released` are those that this run released, or found gone when it came to it.
    """
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "stack": report.stack,
            "project": report.project,
            "lock": report.kind,
            "now": instant(report.now),
            "locked": any(lock.is_held and lock not in released for lock in report.locks),
            "locks": [_lock(lock, report.now, is_released=lock in released) for lock in report.locks],
            "others": [_lock(lock, report.now, is_released=False) for lock in report.others],
        }
    )


def _lock(lock: FoundLock, now: datetime, *, is_released: bool) -> Value:
    return {
        "of": lock.of.value,
        "name": lock.name,
        "id": lock.id or None,
        "stack": lock.stack or None,
        "holder": lock.holder,
        "holder_state": lock.holder_state.value,
        "since": instant(lock.since) if lock.since else None,
        "age_seconds": round((now - lock.since).total_seconds()) if lock.since else None,
        "expires_at": instant(lock.expires_at) if lock.expires_at else None,
        "held": lock.is_held,
        "releasable": not lock.hindrance,
        "hindrance": lock.hindrance or None,
        "released": is_released,
    }

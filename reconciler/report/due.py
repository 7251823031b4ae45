"""What falls due within some time, as lines for people and as JSON."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.encoder import one_line, shown
from reconciler.plan.due import Due
from reconciler.plan.fields import duration, instant
from reconciler.report.json import FORMAT_VERSION, dump
from reconciler.report.terminal import pad, widest
from reconciler.report.times import relative


def render_due(found: tuple[Due, ...], now: datetime, within: timedelta) -> str:
    """One line for each: when, how long until then, which key, and why."""
    if not found:
        return f"No rotation is due within {duration(within)}.\n"
    column = widest(due.key for due in found)
    lines = [
        f"{instant(due.due_at.replace(microsecond=0))}  {pad(when(due, now), 10)}  "
        f"{pad(shown(due.key), column)}  {one_line(due.reason.sentence)}"
        for due in found
    ]
    return "\n".join([*lines, "", "The next apply after that time rotates the key."]) + "\n"


def when(due: Due, now: datetime) -> str:
    """`now`, or how long until then."""
    return "now" if due.is_due(now) else relative(due.due_at, now)


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

"""What falls due: the keys that an apply within some time would rotate, if nothing but time passes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.model import DesiredState, Snapshot, shift
from reconciler.plan.cases import KeyCase, gather_cases, gather_facts
from reconciler.plan.changes import Action, Reason
from reconciler.plan.rules import find_cause, next_rotation


@dataclass(frozen=True, slots=True)
class Due:
    """A rotation that falls due: the key, the live name of its current generation, when (in UTC), and why."""

    key: str
    live_name: str
    due_at: datetime
    reason: Reason

    def is_due(self, now: datetime) -> bool:
        """Whether an apply would rotate the key now."""
        return self.due_at <= now


def list_due(desired: DesiredState, snapshot: Snapshot, now: datetime, within: timedelta) -> tuple[Due, ...]:
    """Every rotation that falls due until `now + within`, the next first; an overdue one is due `now`."""
    found = (find_due(case) for case in gather_cases(gather_facts(desired, snapshot, now)))
    until = shift(now, within)
    falling = (due for due in found if due is not None and due.due_at <= until)
    return tuple(sorted(falling, key=lambda due: (due.due_at, due.key)))


def find_due(case: KeyCase) -> Due | None:
    """When the key's current generation has to be replaced, and why; None if time alone does not cause that."""
    newest = case.newest_in_use
    if newest is None or newest.is_taken_over or case.desired is None:
        return None  # a key that is yet to be adopted is not the stack's to rotate
    cause = find_cause(case)
    if cause is not None:
        return Due(case.name, newest.name, case.now, cause.reason) if cause.action is Action.ROTATE else None
    coming = next_rotation(case)
    return Due(case.name, newest.name, coming.at, coming.reason) if coming is not None else None

"""What all forms of a status share: the role of each state, and the words for an expiry."""

from __future__ import annotations

from datetime import datetime

from reconciler.plan.standing import Expiry, KeyState, KeyStatus, SinkState
from reconciler.report.roles import Role
from reconciler.report.times import relative

KEY_ROLES = {
    KeyState.PUBLISHED: Role.GOOD,
    KeyState.PENDING: Role.WARNING,
    KeyState.ADOPTED: Role.NOTE,
    KeyState.PARTIAL: Role.WARNING,
    KeyState.REVOKED: Role.DANGER,
    KeyState.EXPIRED: Role.DANGER,
    KeyState.DELETED: Role.DANGER,
    KeyState.MISSING: Role.WARNING,
}
EXPIRY_ROLES = {
    Expiry.NEVER: Role.QUIET,
    Expiry.LATER: Role.PLAIN,
    Expiry.SOON: Role.WARNING,
    Expiry.EXPIRED: Role.DANGER,
}
SINK_ROLES = {
    SinkState.OK: Role.GOOD,
    SinkState.LOST: Role.DANGER,
    SinkState.ABSENT: Role.DANGER,
    SinkState.STALE: Role.DANGER,
    SinkState.ELSEWHERE: Role.WARNING,
    SinkState.UNKNOWN: Role.WARNING,
    SinkState.FOREIGN: Role.DANGER,
    SinkState.NOT_YET: Role.QUIET,
}


def tell_expiry(key: KeyStatus, now: datetime) -> str:
    """A key's name and when it expires: `batch-jobs (in 9 days)`."""
    return f"{key.name} ({relative(key.expires_at, now)})" if key.expires_at else key.name

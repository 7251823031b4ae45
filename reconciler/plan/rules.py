"""Why a key needs a new generation: an ordered table of rules, each a small pure function that states its finding.

The first that finds something decides:

    key_is_missing               it has no live key                                           create
    date_is_reached              it expired on its own date, and nothing else is asked for    leave it
    key_is_revoked               its secret leaked                                            rotate
    rotation_is_asked            `rotate` names the key                                       rotate
    publication_is_uncertain     the newest was being written to a sink that nobody can read  rotate
    expiry_differs               expires_at cannot be changed in place                        rotate
    lifetime_differs             the newest outlives what each generation is given            rotate
    secret_is_not_in_sink        a declared sink lacks the secret, and no other gives it back rotate
    rotation_is_due              the newest is older than `every`                             rotate
    expiry_is_near               the newest would expire within the overlap                   rotate

Where the API changes an expiry in place, the newest is judged by the expiry that this plan writes on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.model import CLOSE, DesiredKey, Phase, Unchanged, shift
from reconciler.plan.cases import Generation, KeyCase
from reconciler.plan.changes import Action, Reason
from reconciler.plan.fields import duration, instant
from reconciler.plan.holdings import describe_lack, find_holdings

Rule = Callable[[KeyCase, DesiredKey, Generation], Reason | None]


@dataclass(frozen=True, slots=True)
class Cause:
    """What the table decided, and why: a create, a rotation, or (None) that the key is left as it is."""

    action: Action | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Coming:
    """A rotation that passing time causes: when, in UTC, and why."""

    at: datetime
    reason: Reason


def date_is_reached(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """The generation expired when the file says that the key expires: a new one would already be expired."""
    is_over = newest.live.expires_at == key.expires_at and newest.live.is_expired(case.now)
    if key.lifetime is not None or key.expires_at is None or not is_over or case.is_rotated:
        return None
    return Reason("date_is_reached", f"{newest.name} expired {instant(key.expires_at)}, as the file says")


def key_is_revoked(case: KeyCase, _key: DesiredKey, newest: Generation) -> Reason | None:
    """`rotate --revoke` marked it, in this run or in one that did not finish."""
    if newest.phase is Phase.REVOKED:
        why = f" ({case.why_rotated})" if case.why_rotated else ""
        sentence = f"{newest.name} is revoked{why}: it is cut as soon as another is published"
        return Reason("key_is_revoked", sentence, is_urgent=True)
    return None


def rotation_is_asked(case: KeyCase, _key: DesiredKey, newest: Generation) -> Reason | None:
    """`rotate` names the key, matches its name, or names a sink that its secret was in."""
    if not case.is_rotated:
        return None
    why = f": {case.why_rotated}" if case.why_rotated else ""
    return Reason("rotation_is_asked", f"a rotation of {newest.name} is asked for{why}")


def publication_is_uncertain(_case: KeyCase, _key: DesiredKey, newest: Generation) -> Reason | None:
    """A run ended between creating this generation and marking it published, and its sink cannot be read back."""
    if newest.is_unfinished and newest.sinks_that_may_hold_it:
        sinks = ", ".join(sorted(newest.sinks_that_may_hold_it))
        return Reason(
            "publication_is_uncertain",
            f"an earlier run may have written {newest.name} to {sinks}, which cannot be read back",
        )
    return None


def expiry_differs(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """If the API cannot change a key's expiry, a new one takes a new key, with a new secret."""
    if key.lifetime is None and expiry_after(case, key, newest) != key.expires_at:
        return Reason(
            "expiry_differs",
            f"expires_at changes from {instant(newest.live.expires_at)} to {instant(key.expires_at)}, "
            "which takes a new generation",
        )
    return None


def lifetime_differs(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """One that lives longer than the file allows is replaced; one that lives shorter is, when that is due."""
    expires = expiry_after(case, key, newest)
    if key.lifetime is None or (expires is not None and expires <= shift(newest.since, key.lifetime + CLOSE)):
        return None
    outlives = f"{newest.name} expires {instant(expires)}" if expires else f"{newest.name} never expires"
    return Reason("lifetime_differs", f"{outlives}, and rotation.lifetime is {duration(key.lifetime)}")


def expiry_in_place(case: KeyCase, key: DesiredKey, newest: Generation) -> datetime | Unchanged | None:
    """The expiry to write on the newest generation if the API changes it in place; None for never.

    An expiry in the past, from a short lifetime, is not written: that would cut consumers, where a rotation leaves them
    the overlap.
    """
    live = newest.live.expires_at
    if "expires_at" not in case.facts.mutable_fields:
        return Unchanged.UNCHANGED
    if key.lifetime is None:
        return Unchanged.UNCHANGED if live == key.expires_at else key.expires_at
    end = shift(newest.since, key.lifetime).replace(microsecond=0)
    is_too_long = live is None or live > shift(newest.since, key.lifetime + CLOSE)
    return end if is_too_long and shift(end, -key.overlap) > case.now else Unchanged.UNCHANGED


def expiry_after(case: KeyCase, key: DesiredKey, newest: Generation) -> datetime | None:
    """When the newest generation expires once this plan is done; None for never."""
    written = expiry_in_place(case, key, newest)
    return newest.live.expires_at if isinstance(written, Unchanged) else written


def secret_is_not_in_sink(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """The API shows a secret once: one that no sink gives back any longer can only be replaced."""
    if newest.phase is Phase.ADOPTED:
        return None  # never known to keyform; the next rotation writes the sink
    found = find_holdings(case, key, newest)
    if not found.lacking or found.source:
        return None
    return Reason("secret_is_not_in_sink", describe_lack(found, newest, case.facts.unreadable_sinks))


def rotation_is_due(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """It has become as old as the file lets it."""
    due = due_by_age(key, newest)
    if key.every is None or due is None or due > case.now:
        return None
    return because_of_age(key.every, f"{newest.name} was published {instant(newest.since)}, and ")


def expiry_is_near(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """It has to be replaced while there is time left for the overlap."""
    due = due_by_expiry(case, key, newest)
    if due is None or due > case.now:
        return None
    expires = expiry_after(case, key, newest)
    word = "expired" if expires is not None and expires <= case.now else "expires"
    return because_of_expiry(key, f"{newest.name} {word} {instant(expires)}")


def because_of_age(every: timedelta, since: str = "") -> Reason:
    """Why a generation is replaced that becomes too old; `since` begins the sentence."""
    return Reason("rotation_is_due", f"{since}rotation.every is {duration(every)}")


def because_of_expiry(key: DesiredKey, expires: str) -> Reason:
    """Why a generation is replaced before it expires; `expires`, which says when, begins the sentence."""
    return Reason("expiry_is_near", f"{expires}, and the overlap takes {duration(key.overlap)}")


def due_by_age(key: DesiredKey, newest: Generation) -> datetime | None:
    """When the generation becomes as old as `every`; None if its age is no reason."""
    return shift(newest.since, key.every) if key.every is not None else None


def due_by_expiry(case: KeyCase, key: DesiredKey, newest: Generation) -> datetime | None:
    """When only the overlap is left until it expires; None if it never expires, or if another would expire no later."""
    expires = expiry_after(case, key, newest)
    if expires is None or (key.every is None and key.lifetime is None):
        return None
    # With a lifetime, one that is created when this is due expires later: the overlap is shorter than the lifetime.
    # Comparing instants here would say otherwise right after a generation is created.
    if key.lifetime is None and key.expires_at is not None and key.expires_at <= expires:
        return None
    return shift(expires, -key.overlap)


def expiry_of_successor(case: KeyCase, key: DesiredKey) -> datetime | None:
    """When a generation expires that is created now; None for never."""
    return shift(case.now, key.lifetime) if key.lifetime is not None else key.expires_at


def next_rotation(case: KeyCase) -> Coming | None:
    """The next rotation that only passing time causes; None if there is none to come."""
    key, newest = case.desired, case.newest_in_use
    if key is None or newest is None:
        return None
    coming = []
    if key.every is not None and (at := due_by_age(key, newest)) is not None:
        coming.append(Coming(at, because_of_age(key.every)))
    if (at := due_by_expiry(case, key, newest)) is not None:
        expires = f"it expires {instant(expiry_after(case, key, newest))}"
        coming.append(Coming(at, because_of_expiry(key, expires)))
    first = min(coming, key=lambda each: each.at, default=None)
    last = key.expires_at if key.lifetime is None else None
    return None if first is None or (last is not None and max(first.at, case.now) >= last) else first


def key_is_missing(case: KeyCase) -> Reason | None:
    """It has no live key that a consumer may use."""
    if case.newest_in_use is not None:
        return None
    if case.former:
        return Reason("key_is_renamed", f"it takes the place of {', '.join(case.former)}")
    return Reason("key_is_missing", "no live key embodies it")


def _of_newest(rule: Rule) -> Callable[[KeyCase], Reason | None]:
    """A rule about a declared key's current generation."""

    def find(case: KeyCase) -> Reason | None:
        key, newest = case.desired, case.newest_in_use
        return rule(case, key, newest) if key is not None and newest is not None else None

    return find


RULES: tuple[tuple[Callable[[KeyCase], Reason | None], Action | None], ...] = (
    (key_is_missing, Action.CREATE),
    (_of_newest(date_is_reached), None),
    (_of_newest(key_is_revoked), Action.ROTATE),
    (_of_newest(rotation_is_asked), Action.ROTATE),
    (_of_newest(publication_is_uncertain), Action.ROTATE),
    (_of_newest(expiry_differs), Action.ROTATE),
    (_of_newest(lifetime_differs), Action.ROTATE),
    (_of_newest(secret_is_not_in_sink), Action.ROTATE),
    (_of_newest(rotation_is_due), Action.ROTATE),
    (_of_newest(expiry_is_near), Action.ROTATE),
)


def find_cause(case: KeyCase) -> Cause | None:
    """The result of the first rule that finds something, for a key that the file declares; None if none does."""
    found = ((action, rule(case)) for rule, action in RULES)
    return next((Cause(action, reason) for action, reason in found if reason is not None), None)

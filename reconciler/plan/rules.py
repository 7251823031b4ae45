"""Why a key needs a new generation: ordered rules, each a small pure function that states its finding.

The first that finds something decides. None is asked about a key whose own date is over: what would be made then would
be born expired. Such a key is reported, and only `rotate` asks for more.

    key_is_missing               no live key embodies it                                      create
    key_is_revoked               its secret leaked                                            rotate
    rotation_is_asked            `rotate` names the key                                       rotate
    publication_is_uncertain     the newest was being written to a sink that nobody can read  rotate
    expiry_differs               expires_at cannot be changed in place                        rotate
    lifetime_differs             the newest outlives what each generation is given            rotate
    secret_is_not_in_sink        a declared sink does not hold the secret                     rotate
    rotation_is_due              the newest is older than `every`                             rotate
    expiry_is_near               the newest would expire within the overlap                   rotate
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from reconciler.model import DesiredKey, Phase, shift
from reconciler.plan.cases import Generation, KeyCase
from reconciler.plan.changes import Reason
from reconciler.plan.fields import duration, instant

CLOSE = timedelta(days=1)
"""How much longer than the file says a generation may live and be left alone.

Its expiry and its marker were told at two moments, by clocks that may not agree: were every second to count, a machine
whose clock is wrong would make a new generation with every apply.
"""
Rule = Callable[[KeyCase, DesiredKey, Generation], Reason | None]


def key_is_revoked(_case: KeyCase, _key: DesiredKey, newest: Generation) -> Reason | None:
    """`rotate --revoke` marked it, in this run or in one that did not come to its end."""
    if newest.ownership.phase is Phase.REVOKED:
        return Reason("key_is_revoked", f"{newest.name} is revoked: it is cut as soon as another is published")
    return None


def rotation_is_asked(case: KeyCase, _key: DesiredKey, newest: Generation) -> Reason | None:
    """`rotate` names the key."""
    return Reason("rotation_is_asked", f"a rotation of {newest.name} is asked for") if case.rotates else None


def publication_is_uncertain(_case: KeyCase, _key: DesiredKey, newest: Generation) -> Reason | None:
    """A run ended between making this generation and marking it published, and its sink cannot be read back."""
    if newest.is_unfinished and newest.sinks_that_may_hold_it:
        sinks = ", ".join(sorted(newest.sinks_that_may_hold_it))
        return Reason(
            "publication_is_uncertain",
            f"an earlier run may have written {newest.name} to {sinks}, which cannot be read back",
        )
    return None


def expiry_differs(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """The API cannot change a key's expiry: it takes a new key, with a new secret."""
    if key.lifetime is None and "expires_at" not in case.mutable_fields and newest.live.expires_at != key.expires_at:
        return Reason(
            "expiry_differs",
            f"expires_at changes from {instant(newest.live.expires_at)} to {instant(key.expires_at)}, "
            "which takes a new generation",
        )
    return None


def lifetime_differs(_case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """One that lives longer than the file allows is replaced; one that lives shorter is, when that is due."""
    if key.lifetime is None:
        return None
    expires = newest.live.expires_at
    if expires is not None and expires <= shift(newest.ownership.since, key.lifetime + CLOSE):
        return None
    outlives = f"{newest.name} expires {instant(expires)}" if expires else f"{newest.name} never expires"
    return Reason("lifetime_differs", f"{outlives}, and rotation.lifetime is {duration(key.lifetime)}")


def secret_is_not_in_sink(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """The API shows a secret once: one that a sink lost, or never had, can only be replaced."""
    if newest.ownership.phase is Phase.ADOPTED:
        return None  # never known to keyform; the next rotation writes the sink
    lacking = sorted(set(key.sinks) - newest.sinks_that_hold_it - case.unreadable_sinks)
    if lacking:
        return Reason("secret_is_not_in_sink", f"sink {', '.join(lacking)} does not hold the secret of {newest.name}")
    left = sorted(newest.sinks_that_hold_it - set(key.sinks))
    unseen = sorted(set(key.sinks) & case.unreadable_sinks)
    if left and unseen:
        # What goes from the one sink could be all that there is of the secret: nobody can see whether the other,
        # named since, ever got it.
        return Reason(
            "secret_is_not_in_sink",
            f"the secret of {newest.name} is to leave sink {', '.join(left)}, and nobody can see whether "
            f"{', '.join(unseen)} holds it",
        )
    return None


def rotation_is_due(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """It has become as old as the file lets it."""
    due = due_by_age(key, newest)
    if due is None or key.every is None or due > case.now:
        return None
    published = f"{newest.name} was published {instant(newest.ownership.since)}"
    return Reason("rotation_is_due", f"{published}, and rotation.every is {duration(key.every)}")


def expiry_is_near(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """It has to be replaced while there is time left for the overlap."""
    due = due_by_expiry(key, newest)
    if due is None or due > case.now:
        return None
    expires = newest.live.expires_at
    word = "expired" if newest.live.is_expired(case.now) else "expires"
    return Reason(
        "expiry_is_near", f"{newest.name} {word} {instant(expires)}, and the overlap takes {duration(key.overlap)}"
    )


def due_by_age(key: DesiredKey, newest: Generation) -> datetime | None:
    """When the generation becomes as old as `every`; None if its age is no reason."""
    return shift(newest.ownership.since, key.every) if key.every is not None else None


def due_by_expiry(key: DesiredKey, newest: Generation) -> datetime | None:
    """When only the overlap is left until it expires; None if it does not, or if another would expire no later."""
    expires = newest.live.expires_at
    if expires is None or (key.every is None and key.lifetime is None):
        return None
    # With a lifetime, one that is made when this is due expires later: the overlap is shorter than the lifetime. To
    # compare instants here would say otherwise right after a generation is made.
    if key.lifetime is None and key.expires_at is not None and key.expires_at <= expires:
        return None
    return shift(expires, -key.overlap)


def expiry_of_successor(case: KeyCase, key: DesiredKey) -> datetime | None:
    """When a generation expires that is made now; None for never."""
    return shift(case.now, key.lifetime) if key.lifetime is not None else key.expires_at


def next_rotation(case: KeyCase) -> datetime | None:
    """When the next rotation is due that only passing time brings about; None if there is none to come."""
    newest = case.newest_in_use
    if case.desired is None or newest is None:
        return None
    dues = (due_by_age(case.desired, newest), due_by_expiry(case.desired, newest))
    due = min((due for due in dues if due is not None), default=None)
    last = case.desired.expires_at if case.desired.lifetime is None else None
    return None if due is None or (last is not None and max(due, case.now) >= last) else due


def has_reached_its_date(case: KeyCase, key: DesiredKey, newest: Generation) -> bool:
    """Whether the generation expired when the file says that the key is to expire, so that none could follow it."""
    if key.lifetime is not None or key.expires_at is None:
        return False
    return newest.live.expires_at == key.expires_at and newest.live.is_expired(case.now)


RULES: tuple[Rule, ...] = (
    key_is_revoked,
    rotation_is_asked,
    publication_is_uncertain,
    expiry_differs,
    lifetime_differs,
    secret_is_not_in_sink,
    rotation_is_due,
    expiry_is_near,
)


def find_reason_for_successor(case: KeyCase, key: DesiredKey, newest: Generation | None) -> Reason | None:
    """Why the key needs a new generation, or None."""
    if newest is None:
        return Reason("key_is_missing", "no live key embodies it")
    if has_reached_its_date(case, key, newest) and not case.rotates:
        return None
    return next((reason for rule in RULES if (reason := rule(case, key, newest)) is not None), None)

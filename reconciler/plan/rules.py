"""Why a key needs a new generation: ordered rules, each a small pure function that states its finding.

The first that finds something decides.

    key_is_missing               no live key embodies it                                     create
    publication_is_uncertain     the newest was being written to a sink that nobody can read  rotate
    expiry_differs               expires_at cannot be changed in place                        rotate
    secret_is_not_in_sink        a declared sink does not hold the secret                     rotate
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.model import DesiredKey, Phase
from reconciler.plan.cases import Generation, KeyCase
from reconciler.plan.changes import Reason
from reconciler.plan.fields import instant

Rule = Callable[[KeyCase, DesiredKey, Generation], Reason | None]


def publication_is_uncertain(_case: KeyCase, _key: DesiredKey, newest: Generation) -> Reason | None:
    """A run ended between making this generation and marking it published, and its sink cannot be read back."""
    if newest.ownership.phase is Phase.PENDING and newest.sinks_that_may_hold_it:
        sinks = ", ".join(sorted(newest.sinks_that_may_hold_it))
        return Reason(
            "publication_is_uncertain",
            f"an earlier run may have written {newest.name} to {sinks}, which cannot be read back",
        )
    return None


def expiry_differs(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """The API cannot change a key's expiry: it takes a new key, with a new secret."""
    if "expires_at" not in case.mutable_fields and newest.live.expires_at != key.expires_at:
        return Reason(
            "expiry_differs",
            f"expires_at changes from {instant(newest.live.expires_at)} to {instant(key.expires_at)}, "
            "which takes a new generation",
        )
    return None


def secret_is_not_in_sink(case: KeyCase, key: DesiredKey, newest: Generation) -> Reason | None:
    """The API shows a secret once: one that a sink lost, or never had, can only be replaced."""
    if newest.ownership.phase is Phase.ADOPTED:
        return None  # never known to keyform; the next rotation writes the sink
    lacking = sorted(set(key.sinks) - newest.sinks_that_hold_it - case.unreadable_sinks)
    if lacking:
        return Reason("secret_is_not_in_sink", f"sink {', '.join(lacking)} does not hold the secret of {newest.name}")
    return None


RULES: tuple[Rule, ...] = (publication_is_uncertain, expiry_differs, secret_is_not_in_sink)


def find_reason_for_successor(case: KeyCase, key: DesiredKey, newest: Generation | None) -> Reason | None:
    """Why the key needs a new generation, or None."""
    if newest is None:
        return Reason("key_is_missing", "no live key embodies it")
    return next((reason for rule in RULES if (reason := rule(case, key, newest)) is not None), None)

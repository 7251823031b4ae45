"""What happens to each generation of a key, and whether there is a new one.

generation                         file declares the key                     file does not
pending, in no readable sink       discard: unbind, delete                   discard
pending, in all sinks              mark published (it is in use), then as    remove
                                   published
pending, in some sinks             mark partial (it is in use), and make     remove
                                   another
partial                            as above: some sinks may hold it          remove
newest in use                      current; or, with a successor, overlap    remove: unbind, sink record, delete
older in use                       overlap; retire once it has ended         remove
revoked                            retire as soon as another is published    remove
foreign, named by `adopt`          adopt: it gets the marker                 -

An overlap begins when a newer generation is in every sink of the key: while one of them may hold the older secret, it
is relied on. A partial generation has therefore replaced nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.model import DesiredKey, EndpointRef, Phase, shift
from reconciler.plan.cases import Generation, KeyCase
from reconciler.plan.changes import KeyRef, Reason
from reconciler.plan.fields import duration, instant


class Fate(StrEnum):
    """What happens to a generation in this plan."""

    CURRENT = "current"
    OVERLAP = "overlap"
    RETIRE = "retire"
    DISCARD = "discard"
    REMOVE = "remove"
    KEEP = "keep"
    """The demand is about something else: it stays as it is."""

    @property
    def goes(self) -> bool:
        """Whether the live key is deleted."""
        return self in (Fate.RETIRE, Fate.DISCARD, Fate.REMOVE)


@dataclass(frozen=True, slots=True)
class Successor:
    """A generation to create; it expires at an instant in UTC, or never (None)."""

    live: KeyRef
    generation: int
    expires_at: datetime | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Ruling:
    """A generation's fate, and why."""

    generation: Generation
    fate: Fate
    reason: Reason

    @property
    def goes(self) -> bool:
        """Whether the live key is deleted by this plan."""
        return self.fate.goes

    @property
    def is_disposable(self) -> bool:
        """Whether it goes because its secret reached nobody, so that nothing has to replace it first."""
        return self.fate is Fate.DISCARD

    def endpoints(self, opened: frozenset[EndpointRef]) -> frozenset[EndpointRef]:
        """Where the generation should be bound once the plan is done, by what its key opens.

        During an overlap both generations get every binding, including new ones, so consumers on the old secret are
        unaffected.
        """
        if self.fate is Fate.KEEP:
            return self.generation.bound_to
        return frozenset() if self.goes else opened


def rule_on(
    case: KeyCase,
    key: DesiredKey,
    generation: Generation,
    newest: Generation | None,
    successor: Successor | None,
) -> Ruling:
    """The fate of one generation of a declared key (the table at the top)."""
    if not generation.is_in_use:
        return Ruling(
            generation,
            Fate.DISCARD,
            Reason("generation_was_never_published", f"the secret of {generation.name} was never published"),
        )
    if generation is newest and successor is None:
        return Ruling(
            generation, Fate.CURRENT, Reason("generation_is_current", "it is the newest published generation")
        )
    if generation.phase is Phase.REVOKED:
        reason = Reason("key_is_revoked", f"{generation.name} is revoked", is_urgent=True)
        return Ruling(generation, Fate.RETIRE, reason)
    end = overlap_end(case, key, generation.number)
    if key.overlap <= timedelta(0) or (end is not None and end <= case.now):
        sentence = f"{generation.name} has been replaced, and its overlap has ended"
        return Ruling(generation, Fate.RETIRE, Reason("overlap_is_over", sentence))
    if generation.live.is_expired(case.now):
        sentence = f"{generation.name} has been replaced, and it expired on {instant(generation.live.expires_at)}"
        return Ruling(generation, Fate.RETIRE, Reason("generation_has_expired", sentence))
    expires = generation.live.expires_at
    if end is not None:
        sentence = f"{generation.name} stays valid until {instant(min(end, expires) if expires else end)}"
    else:
        newer = successor.live.name if successor else "its successor"
        sentence = f"{generation.name} stays valid for {duration(key.overlap)} after {newer} is published"
        if expires and expires < shift(case.now, key.overlap):
            sentence = f"{generation.name} stays valid until it expires on {instant(expires)}, before its overlap ends"
    return Ruling(generation, Fate.OVERLAP, Reason("generation_is_in_overlap", sentence))


def overlap_end(case: KeyCase, key: DesiredKey, number: int) -> datetime | None:
    """When a generation's overlap ends, which began when the first newer one was in every sink; None if none is."""
    published = [
        case.now if newer.is_unfinished else newer.since
        for newer in case.generations
        if newer.number > number and newer.is_in_use and newer.has_replaced(key.sinks)
    ]
    return shift(min(published), key.overlap) if published else None

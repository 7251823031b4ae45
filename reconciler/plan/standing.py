"""How a stack stands: keys and their generations, what falls due, what expires, where each is bound, what is public.

It is data, computed from what was read; text, JSON and HTML are made of it. Which generation is current, what becomes
of the others, when the next rotation is due and which expiry is worth a warning is decided by the rules that make a
plan, so that status never says other than plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.model import (
    Auth,
    DesiredKey,
    DesiredState,
    EndpointRef,
    Phase,
    Snapshot,
)
from reconciler.plan.cases import Facts, Generation, KeyCase, find_claims, gather_cases, gather_facts
from reconciler.plan.due import Due, find_due
from reconciler.plan.fates import Fate, overlap_end
from reconciler.plan.verdicts import Verdict, judge


class KeyState(StrEnum):
    """How a key stands, by its current generation."""

    PUBLISHED = "published"
    PENDING = "pending"
    """A generation is made, and its secret is in no sink yet."""
    ADOPTED = "adopted"
    """Taken over; its secret is unknown to keyform."""
    PARTIAL = "partial"
    """A run ended while it published: some sinks may hold the secret, and the next apply makes another."""
    REVOKED = "revoked"
    """Its secret leaked: it is cut as soon as another is published."""
    EXPIRED = "expired"
    """The data plane refuses it."""
    MISSING = "missing"
    """The file declares it, and no live key embodies it."""


class SinkState(StrEnum):
    """What a sink holds of a key's current generation."""

    OK = "ok"
    LOST = "lost"
    """It should hold the secret, and does not."""
    UNKNOWN = "unknown"
    """It cannot be read back."""
    NOT_YET = "not yet"
    """Nothing was to be written so far: the generation is pending, adopted or missing."""


@dataclass(frozen=True, slots=True)
class GenerationStatus:
    """One live key that embodies a key.

    `since` is when it came into its phase, as its marker says; `fate` is what the next apply does with it. `until` is
    when its overlap ends, or its own expiry if that comes before (None: it is not in an overlap).
    """

    live_name: str
    generation: int
    phase: Phase
    is_current: bool
    fate: Fate
    created_at: datetime
    since: datetime
    expires_at: datetime | None
    until: datetime | None
    bound_to: tuple[EndpointRef, ...]

    @property
    def is_in_overlap(self) -> bool:
        """Another is published, and this one stays valid for a while."""
        return self.fate is Fate.OVERLAP and not self.is_current


class Expiry(StrEnum):
    """How near the current generation's expiry is."""

    NEVER = "never"
    LATER = "later"
    SOON = "soon"
    """Within `warnings.expiry`, and nothing rotates it before."""
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Timing:
    """What the file says of a key's rotation: lengths of time, None where it says nothing."""

    every: timedelta | None = None
    overlap: timedelta | None = None
    lifetime: timedelta | None = None


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One key. Without a live key that embodies it, there are no generations, and `current` is None.

    `next_rotation` is the one that time brings about, or that is due already; its reason is the planner's.
    """

    name: str
    description: str
    declared: bool
    state: KeyState
    generations: tuple[GenerationStatus, ...]
    """Oldest first."""
    expiry: Expiry
    timing: Timing
    next_rotation: Due | None
    sinks: tuple[tuple[str, SinkState], ...]
    wanted: tuple[EndpointRef, ...] = ()
    """What the file says that it opens."""

    @property
    def current(self) -> GenerationStatus | None:
        """The newest generation that a consumer may rely on, or else the newest."""
        return next((each for each in self.generations if each.is_current), None)

    @property
    def others(self) -> tuple[GenerationStatus, ...]:
        """All but the current one."""
        return tuple(each for each in self.generations if not each.is_current)

    @property
    def live_name(self) -> str:
        """The current generation's, or nothing."""
        return self.current.live_name if self.current else ""

    @property
    def generation(self) -> int:
        """The current generation's number, or 0."""
        return self.current.generation if self.current else 0

    @property
    def created_at(self) -> datetime | None:
        """When the current generation was made."""
        return self.current.created_at if self.current else None

    @property
    def expires_at(self) -> datetime | None:
        """When the current generation expires; None for never, or when there is none."""
        return self.current.expires_at if self.current else None

    @property
    def bound_to(self) -> tuple[EndpointRef, ...]:
        """Where the current generation is bound."""
        return self.current.bound_to if self.current else ()


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """One endpoint: the live names bound to it, apart those of this stack and the foreign ones.

    `managed`: the file has an entry for it, or one of its keys opens it, or is bound to it. `auth` and `exclusive` are
    what the file says.
    """

    ref: EndpointRef
    public: bool
    own: tuple[str, ...]
    foreign: tuple[str, ...]
    status: str
    application: str | None
    managed: bool = False
    auth: Auth | None = None
    exclusive: bool = False

    @property
    def is_meant_to_be_public(self) -> bool:
        """The file says `auth: open`."""
        return self.auth is Auth.OPEN


@dataclass(frozen=True, slots=True)
class Standing:
    """All that status shows; keys in order of name, endpoints in order of address."""

    stack: str
    project: int
    now: datetime
    keys: tuple[KeyStatus, ...]
    endpoints: tuple[EndpointStatus, ...]
    foreign_keys: tuple[str, ...]
    claims: tuple[str, ...] = ()
    """Live names of keys with this stack's marker that are not counted as its own: nothing else bears it out."""

    @property
    def public(self) -> tuple[EndpointStatus, ...]:
        """The endpoints that everyone may call."""
        return tuple(endpoint for endpoint in self.endpoints if endpoint.public)

    @property
    def with_foreign_keys(self) -> tuple[EndpointStatus, ...]:
        """The managed endpoints that foreign keys open; a deployment of an application only mirrors that."""
        return tuple(
            endpoint
            for endpoint in self.endpoints
            if endpoint.managed and endpoint.foreign and endpoint.application is None
        )

    @property
    def expired(self) -> tuple[KeyStatus, ...]:
        """The keys whose current generation is refused by now; the first that expired first."""
        return self._by_expiry(Expiry.EXPIRED)

    @property
    def leaked(self) -> tuple[str, ...]:
        """The live names of revoked generations that still open something: an apply cuts them."""
        return tuple(
            each.live_name
            for key in self.keys
            for each in key.generations
            if each.phase is Phase.REVOKED and each.bound_to and (each.expires_at is None or each.expires_at > self.now)
        )

    @property
    def expiring(self) -> tuple[KeyStatus, ...]:
        """The keys that soon expire, and that nothing rotates before; the next first."""
        return self._by_expiry(Expiry.SOON)

    def _by_expiry(self, expiry: Expiry) -> tuple[KeyStatus, ...]:
        found = [key for key in self.keys if key.expiry is expiry]
        return tuple(sorted(found, key=lambda key: (key.expires_at or self.now, key.name)))


def compute_standing(desired: DesiredState, snapshot: Snapshot, now: datetime) -> Standing:
    """How the stack stands at one instant; a pure function of what was read."""
    facts = gather_facts(desired, snapshot, now)
    return Standing(
        stack=desired.stack,
        project=desired.project,
        now=now,
        keys=tuple(_key(case) for case in gather_cases(facts)),
        endpoints=tuple(_endpoints(facts)),
        foreign_keys=tuple(key.name for key in snapshot.keys if key.id not in facts.own),
        claims=tuple(live.name for _, live in find_claims(desired, snapshot, facts.own)),
    )


def _key(case: KeyCase) -> KeyStatus:
    generations = [each for each in case.generations if not each.is_taken_over]  # what is there, not what is to come
    in_use = [each for each in generations if each.is_in_use]
    current = next(reversed(in_use or generations), None)
    verdict = judge(case)
    fates = {ruling.generation.live.id: ruling.fate for ruling in verdict.rulings}
    sinks = case.desired.sinks if case.desired else tuple(sorted(case.records))
    return KeyStatus(
        name=case.name,
        description=case.desired.description if case.desired else current.live.text if current else "",
        declared=case.desired is not None,
        state=_state(current, case.now),
        generations=tuple(
            GenerationStatus(
                live_name=each.name,
                generation=each.number,
                phase=each.phase,
                is_current=each is current,
                fate=fates.get(each.live.id, Fate.KEEP),
                created_at=each.live.created_at,
                since=each.since,
                expires_at=each.live.expires_at,
                until=None if each is current else _until(case, each),
                bound_to=tuple(sorted(each.bound_to)),
            )
            for each in generations
        ),
        expiry=_expiry(current, verdict),
        timing=_timing(case.desired),
        next_rotation=find_due(case),
        sinks=tuple((sink, _sink_state(case, current, sink)) for sink in sinks),
        wanted=tuple(sorted(case.desired.endpoints)) if case.desired else (),
    )


def _timing(key: DesiredKey | None) -> Timing:
    return Timing(key.every, key.overlap, key.lifetime) if key else Timing()


def _expiry(current: Generation | None, verdict: Verdict) -> Expiry:
    if current is None or current.live.expires_at is None:
        return Expiry.NEVER
    if current.live.is_expired(verdict.case.now):
        return Expiry.EXPIRED
    return Expiry.SOON if verdict.expiring else Expiry.LATER


def _state(current: Generation | None, now: datetime) -> KeyState:
    if current is None:
        return KeyState.MISSING
    if current.live.is_expired(now):
        return KeyState.EXPIRED
    return _STATES[current.phase]


_STATES = {phase: KeyState(phase.value) for phase in Phase}


def _until(case: KeyCase, other: Generation) -> datetime | None:
    """When an old generation's overlap ends, or its own expiry if that comes before."""
    end = overlap_end(case, case.desired, other) if case.desired and other.is_in_use else None
    if end is None or other.live.expires_at is None:
        return end
    return min(end, other.live.expires_at)


def _sink_state(case: KeyCase, current: Generation | None, sink: str) -> SinkState:
    if current is None:
        return SinkState.NOT_YET
    if sink in current.sinks_that_hold_it:
        return SinkState.OK
    if sink in case.facts.unreadable_sinks:
        return SinkState.UNKNOWN
    return SinkState.LOST if current.phase is Phase.PUBLISHED else SinkState.NOT_YET


def _endpoints(facts: Facts) -> Iterator[EndpointStatus]:
    declared = {endpoint.ref: endpoint for endpoint in facts.desired.endpoints}
    opened = {ref for key in facts.desired.keys for ref in key.endpoints}
    names = {key.id: key.name for key in facts.snapshot.keys}
    own: defaultdict[EndpointRef, set[str]] = defaultdict(set)
    foreign: defaultdict[EndpointRef, set[str]] = defaultdict(set)
    for binding in facts.snapshot.bindings:
        side = own if binding.key_id in facts.own else foreign
        side[binding.endpoint].add(names.get(binding.key_id, binding.key_id))
    for endpoint in sorted(facts.snapshot.endpoints, key=lambda endpoint: endpoint.ref):
        ref, said = endpoint.ref, declared.get(endpoint.ref)
        yield EndpointStatus(
            ref=ref,
            public=endpoint.is_public,
            own=tuple(sorted(own[ref])),
            foreign=tuple(sorted(foreign[ref])),
            status=endpoint.status,
            application=endpoint.application,
            managed=said is not None or ref in opened or ref in own,
            auth=said.auth if said else None,
            exclusive=said.exclusive if said else False,
        )

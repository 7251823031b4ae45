"""How a stack stands: keys, generations, where each is bound, what the sinks hold, and endpoints that are public.

The view is data, computed from what was read; text and JSON are made of it. What a generation is, and which one is
current, is decided by the planner's own functions, so that status never says other than plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.model import DesiredState, EndpointRef, LiveEndpoint, Phase, Snapshot
from reconciler.plan.cases import Generation, KeyCase, gather_cases
from reconciler.plan.verdicts import overlap_end


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
class OldGeneration:
    """A generation beside the current one; `until` is when its overlap ends (None: it is not in an overlap)."""

    live_name: str
    generation: int
    phase: Phase
    until: datetime | None


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One key. `live_name` is `""`, and `generation` 0, when no live key embodies it."""

    name: str
    declared: bool
    state: KeyState
    live_name: str
    generation: int
    created_at: datetime | None
    expires_at: datetime | None
    others: tuple[OldGeneration, ...]
    bound_to: tuple[EndpointRef, ...]
    sinks: tuple[tuple[str, SinkState], ...]


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """One endpoint: the live names bound to it, apart those of this stack and the foreign ones."""

    ref: EndpointRef
    public: bool
    own: tuple[str, ...]
    foreign: tuple[str, ...]
    status: str
    application: str | None


@dataclass(frozen=True, slots=True)
class StatusView:
    """All that status shows; keys in order of name, endpoints in order of address."""

    stack: str
    project: int
    now: datetime
    keys: tuple[KeyStatus, ...]
    endpoints: tuple[EndpointStatus, ...]
    foreign_keys: tuple[str, ...]

    @property
    def public(self) -> tuple[EndpointStatus, ...]:
        """The endpoints that everyone may call."""
        return tuple(endpoint for endpoint in self.endpoints if endpoint.public)


def build_status(desired: DesiredState, snapshot: Snapshot, now: datetime) -> StatusView:
    """The view at one instant; a pure function of what was read."""
    owned = {key.name for key in snapshot.keys if key.ownership is not None and key.ownership.stack == desired.stack}
    return StatusView(
        stack=desired.stack,
        project=desired.project,
        now=now,
        keys=tuple(_key(case) for case in gather_cases(desired, snapshot, now)),
        endpoints=tuple(_endpoint(endpoint, owned) for endpoint in sorted(snapshot.endpoints, key=lambda e: e.ref)),
        foreign_keys=tuple(key.name for key in snapshot.keys if key.name not in owned),
    )


def _key(case: KeyCase) -> KeyStatus:
    current = case.newest_in_use or (case.generations[-1] if case.generations else None)
    sinks = case.desired.sinks if case.desired else tuple(sorted(case.records))
    return KeyStatus(
        name=case.name,
        declared=case.desired is not None,
        state=_state(current, case.now),
        live_name=current.name if current else "",
        generation=current.number if current else 0,
        created_at=current.live.created_at if current else None,
        expires_at=current.live.expires_at if current else None,
        others=tuple(
            OldGeneration(other.name, other.number, other.ownership.phase, _until(case, other))
            for other in case.generations
            if other is not current
        ),
        bound_to=tuple(sorted(current.bound_to)) if current else (),
        sinks=tuple((sink, _sink_state(case, current, sink)) for sink in sinks),
    )


def _state(current: Generation | None, now: datetime) -> KeyState:
    if current is None:
        return KeyState.MISSING
    if current.live.is_expired(now):
        return KeyState.EXPIRED
    return _STATES[current.ownership.phase]


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
    if sink in case.unreadable_sinks:
        return SinkState.UNKNOWN
    return SinkState.LOST if current.ownership.phase is Phase.PUBLISHED else SinkState.NOT_YET


def _endpoint(endpoint: LiveEndpoint, owned: set[str]) -> EndpointStatus:
    return EndpointStatus(
        ref=endpoint.ref,
        public=endpoint.is_public,
        own=tuple(name for name in endpoint.api_keys if name in owned),
        foreign=tuple(name for name in endpoint.api_keys if name not in owned),
        status=endpoint.status,
        application=endpoint.application,
    )

"""The standing of a stack: keys and their generations, what falls due, what expires, bindings, what is public.

It is data (`survey` computes it); text, JSON and HTML show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.errors import Finding
from reconciler.model import Auth, DesiredKey, EndpointRef, Phase
from reconciler.plan.changes import Note
from reconciler.plan.due import Due
from reconciler.plan.fates import Fate


class KeyState(StrEnum):
    """The state of a key, by its current generation."""

    PUBLISHED = "published"
    PENDING = "pending"
    """A generation exists, and its secret is in no sink yet."""
    ADOPTED = "adopted"
    """Taken over; its secret is unknown to keyform."""
    PARTIAL = "partial"
    """A run ended while it published: some sinks may hold the secret, and the next apply creates another."""
    REVOKED = "revoked"
    """Its secret leaked: it is cut as soon as another is published."""
    EXPIRED = "expired"
    """The data plane refuses it."""
    MISSING = "missing"
    """The file declares it, and it has no live key."""


class SinkState(StrEnum):
    """What a sink holds of a key's current generation."""

    OK = "ok"
    LOST = "lost"
    """The secret was published to it, and it no longer holds it."""
    ABSENT = "absent"
    """The secret was published to it, and there is nothing at all where it writes: this may be another machine."""
    ELSEWHERE = "elsewhere"
    """It has moved since the secret was published, and does not hold it there yet."""
    UNKNOWN = "unknown"
    """It cannot be read back, or could not be this time."""
    FOREIGN = "foreign"
    """The key's place has another owner: another stack, or this one in another project or API."""
    NOT_YET = "not yet"
    """Nothing was due to be written so far: the generation is pending, adopted or missing."""


@dataclass(frozen=True, slots=True)
class GenerationStatus:
    """One live key of a key.

    `since` is when it entered its phase, as its marker says; `fate` is what the next apply does with it. `until` is
    when its overlap ends, or its own expiry if that comes before (None: it is not in an overlap). `leaks`: it is
    revoked, and still opens something. `api_status` is the API's own word, if it says that it is not active.
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
    leaks: bool = False
    api_status: str = ""

    @property
    def is_in_overlap(self) -> bool:
        """Another is published, and this one stays valid for a while."""
        return self.fate is Fate.OVERLAP and not self.is_current


class Opening(StrEnum):
    """How a key opens an endpoint."""

    BOUND = "bound"
    """By its current generation, as the file says."""
    BOTH = "both"
    """By its current generation and another one, as the file says."""
    OTHER = "other"
    """By another than its current generation only."""
    WANTED = "wanted"
    """The file says so, and it does not open it yet."""
    EXTRA = "extra"
    """It does, and the file does not say so."""


class Expiry(StrEnum):
    """How near the current generation's expiry is."""

    NEVER = "never"
    LATER = "later"
    SOON = "soon"
    """Within `warnings.expiry`, and nothing rotates it before."""
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One key; `desired` is what the file says, None if it does not declare it, or no longer does.

    Without a live key, there are no generations, and `current` is None.

    `next_rotation` is the one that time causes, or that is due already; its reason is the planner's.
    """

    name: str
    description: str
    desired: DesiredKey | None
    state: KeyState
    generations: tuple[GenerationStatus, ...]
    """Oldest first."""
    expiry: Expiry
    next_rotation: Due | None
    sinks: tuple[tuple[str, SinkState], ...]
    held_up: tuple[str, ...] = ()
    """Why nothing of it changes until a person has looked, as `plan` says it."""
    heir: str = ""
    """The key that replaces it, if it was renamed."""

    @property
    def declared(self) -> bool:
        """Whether the file has it."""
        return self.desired is not None

    @property
    def wanted(self) -> frozenset[EndpointRef]:
        """What the file says that it opens."""
        return self.desired.endpoints if self.desired else frozenset()

    @property
    def overlap(self) -> timedelta:
        """How long an old generation stays valid; that of a key that is not declared does not."""
        return self.desired.overlap if self.desired else timedelta(0)

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

    def opening(self, ref: EndpointRef) -> Opening | None:
        """How it opens this endpoint; None: it does not, and should not."""
        is_bound, is_wanted = ref in self.bound_to, ref in self.wanted
        is_other = any(ref in other.bound_to for other in self.others)
        if is_bound and not is_wanted:
            return Opening.EXTRA
        if is_bound:
            return Opening.BOTH if is_other else Opening.BOUND
        if is_other:
            return Opening.OTHER
        return Opening.WANTED if is_wanted else None


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """One endpoint: the live names bound to it, this stack's and the foreign ones separately.

    `managed`: the file has an entry for it, or one of its keys opens it, or is bound to it. `auth` and `exclusive` are
    what the file says. `alias` is its name, if it shares that with others and goes by its id.
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
    alias: str = ""

    @property
    def is_meant_to_be_public(self) -> bool:
        """The file says `auth: open`."""
        return self.auth is Auth.OPEN


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that status shows; keys in order of name, endpoints in order of address."""

    stack: str
    project: int
    now: datetime
    keys: tuple[KeyStatus, ...]
    endpoints: tuple[EndpointStatus, ...]
    foreign_keys: tuple[str, ...]
    troubles: tuple[Finding, ...] = ()
    """What could not be read, or has another owner in place of the stack."""
    unseen: tuple[str, ...] = ()
    """Sentences about endpoints that the API does not show to this token."""
    claims: tuple[str, ...] = ()
    """Live names of keys with this stack's marker that are not counted as its own: nothing else confirms it."""
    repairs: tuple[Note, ...] = ()
    """What is not right in sinks, and the next apply repairs."""

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
    def held_up(self) -> tuple[str, ...]:
        """The keys that stay as they are until a person has looked."""
        return tuple(key.name for key in self.keys if key.held_up)

    @property
    def expired(self) -> tuple[KeyStatus, ...]:
        """The keys whose current generation is expired; the first that expired first."""
        return self._by_expiry(Expiry.EXPIRED)

    @property
    def leaked(self) -> tuple[str, ...]:
        """The live names of revoked generations that still open something: an apply cuts them."""
        return tuple(each.live_name for key in self.keys for each in key.generations if each.leaks)

    @property
    def inactive(self) -> tuple[str, ...]:
        """The live names of generations that the API does not call active, each with its word."""
        generations = [each for key in self.keys for each in key.generations if each.api_status]
        return tuple(f"{each.live_name} ({each.api_status})" for each in generations)

    @property
    def expiring(self) -> tuple[KeyStatus, ...]:
        """The keys that soon expire, and that nothing rotates before; the next first."""
        return self._by_expiry(Expiry.SOON)

    def _by_expiry(self, expiry: Expiry) -> tuple[KeyStatus, ...]:
        found = [key for key in self.keys if key.expiry is expiry]
        return tuple(sorted(found, key=lambda key: (key.expires_at or self.now, key.name)))

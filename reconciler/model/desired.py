"""What the file says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.model.live import Owner
from reconciler.model.names import EndpointRef
from reconciler.model.ownership import digest


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the file; line and column count from 1, `path` is like `keys.payments.sink[0]`."""

    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""

    @property
    def where(self) -> str:
        """`file:line:column`, or nothing."""
        return f"{self.file}:{self.line}:{self.column}" if self.file else ""


NOWHERE = Place()
APIS = ("v3", "v2")
"""The generations of the API, as the file calls them."""
DEFAULT_API = "v3"


class Auth(StrEnum):
    """Whether an endpoint requires a key."""

    REQUIRED = "required"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class DesiredBinding:
    """A key opens this endpoint."""

    endpoint: EndpointRef
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class DesiredKey:
    """A key as declared, defaults filled in.

    `description` is the human text without the marker (`""` for none, None if the file does not set it: the live one
    stays); `expires_at` is an instant in UTC, or None for never; `says_expiry` is false if the file sets no expiry: an
    adopted key then keeps its own (`keeps_expiry`); `overlap` is how long an old generation stays valid after the new
    one is published; `every` is the age at which a generation is replaced (None: at no age); `lifetime` is how long
    each generation lives from its creation (None: `expires_at` decides); `adopt` is the live name of a portal-made key
    to take over; `prove` is whether to try a new secret at every endpoint before publishing it.
    """

    name: str
    description: str | None = None
    expires_at: datetime | None = None
    bindings: tuple[DesiredBinding, ...] = ()
    sinks: tuple[str, ...] = ()
    overlap: timedelta = timedelta(hours=24)
    prevent_destroy: bool = False
    adopt: str | None = None
    every: timedelta | None = None
    lifetime: timedelta | None = None
    prove: bool = False
    says_expiry: bool = False
    keeps_expiry: bool = False
    place: Place = field(default=NOWHERE, compare=False)

    @property
    def endpoints(self) -> frozenset[EndpointRef]:
        """What the key opens."""
        return frozenset(binding.endpoint for binding in self.bindings)


@dataclass(frozen=True, slots=True)
class DesiredEndpoint:
    """What the file says about an endpoint itself; `auth` None means unchanged, but never public by accident.

    `exclusive`: unlink keys that this stack does not own. Keys with another stack's marker stay, unless
    `exclusive_stacks` names the stack.
    """

    ref: EndpointRef
    auth: Auth | None = None
    exclusive: bool = False
    exclusive_stacks: tuple[str, ...] = ()
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Move:
    """What was called otherwise before: `key` of a stack (`""`: this one) is `to` by now.

    Where `key` is `""`, it is the stack that has another name, and each of its keys keeps its own.
    """

    stack: str
    key: str
    to: str
    place: Place = field(default=NOWHERE, compare=False)

    @property
    def source(self) -> str:
        """As the file writes it: `payments`, `checkout/payments` or `stack.checkout`."""
        return "/".join(filter(None, (self.stack, self.key))) if self.key else f"stack.{self.stack}"


@dataclass(frozen=True, slots=True)
class Farewell:
    """A key that the stack no longer manages; nothing of it is deleted."""

    key: str
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """A sink as declared: `type` picks the class, `options` are the type's own settings; a duration is in seconds.

    `destination` is the type and the options that choose the place, as written in the file: relative paths and
    variables are not resolved, so that it is the same on every machine.
    """

    name: str
    type: str
    options: Mapping[str, str | bool | int | tuple[str, ...] | Mapping[str, str]] = field(default_factory=dict)
    place: Place = field(default=NOWHERE, compare=False)
    destination: str = ""


@dataclass(frozen=True, slots=True)
class Safety:
    """What a plan must not do unless the file allows it; `max_deletes` None means no limit (`destroy`).

    `max_replacements` is how many keys one plan may rotate because a sink lost their secrets.
    """

    max_deletes: int | None = 5
    allow_empty: bool = False
    max_replacements: int = 1


@dataclass(frozen=True, slots=True)
class Warnings:
    """When a plan warns: `expiry` lists how long before a key expires, the longest first."""

    expiry: tuple[timedelta, ...] = (timedelta(days=30), timedelta(days=7))


class LockKind(StrEnum):
    """How two applies of a stack are kept apart."""

    API = "api"
    FILE = "file"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class LockSettings:
    """The lock as declared; `path` is the absolute path of the lock file, for `file` only."""

    kind: LockKind = LockKind.API
    path: str = ""


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Everything that one stack declares: keys by name, endpoints by reference, sinks by name, each in order of name.

    `vouched` are pairs of a key's and a live key's name, from `adopt` of keys that a command leaves out. `api` is the
    generation of the API, as the file calls it. `content` is the digest of what the files say.
    """

    stack: str
    project: int
    keys: tuple[DesiredKey, ...] = ()
    endpoints: tuple[DesiredEndpoint, ...] = ()
    sinks: tuple[SinkSettings, ...] = ()
    safety: Safety = Safety()
    lock: LockSettings = LockSettings()
    warnings: Warnings = Warnings()
    place: Place = field(default=NOWHERE, compare=False)
    vouched: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)
    api: str = DEFAULT_API
    moves: tuple[Move, ...] = ()
    farewells: tuple[Farewell, ...] = ()
    content: str = field(default="", compare=False)

    @property
    def former_stacks(self) -> frozenset[str]:
        """What this stack was called before, as the file says."""
        return frozenset(move.stack for move in self.moves if not move.key)

    @property
    def handed_over(self) -> frozenset[tuple[str, str]]:
        """The keys that other stacks let go of, and that the file takes over: pairs of a stack and its key's name."""
        return frozenset((move.stack, move.key) for move in self.moves if move.key and move.stack)

    @property
    def heirs(self) -> Mapping[str, str]:
        """By the former name of a key of this stack, or of one that is handed over, the key that it is by now."""
        return {move.key: move.to for move in self.moves if move.key and move.key != move.to}

    def owner(self, api: str) -> Owner:
        """Whose the records in the sinks are, where the API is at this host."""
        adopted = {(self.stack, key.name) for key in self.keys if key.adopt is not None}
        return Owner(self.stack, api, self.project, self.former_stacks, self.handed_over | adopted)

    @property
    def forgotten(self) -> frozenset[str]:
        """The keys that the stack no longer manages, as the file says."""
        return frozenset(each.key for each in self.farewells)

    @property
    def named(self) -> frozenset[str]:
        """What the file calls deployments and applications."""
        refs = {endpoint.ref for endpoint in self.endpoints}.union(*(key.endpoints for key in self.keys))
        return frozenset(ref.name for ref in refs)

    @property
    def adoptions(self) -> frozenset[tuple[str, str]]:
        """Which live key the file takes over as which key: pairs of the key's name and the live name."""
        return self.vouched | {(key.name, key.adopt) for key in self.keys if key.adopt is not None}

    def digest_of(self, sinks: Collection[str]) -> str:
        """The digest of the destinations of these sinks: their types and what chooses the place, as written."""
        return digest(one.destination for one in self.sinks if one.name in sinks)

    def with_keys(self, keys: tuple[DesiredKey, ...], endpoints: tuple[DesiredEndpoint, ...]) -> DesiredState:
        """The same stack with only these keys and endpoints; the owners of the live keys do not change by that."""
        return replace(self, keys=keys, endpoints=endpoints, vouched=self.adoptions)


@dataclass(frozen=True, slots=True)
class Written:
    """What the file writes where a state has what it comes to: the project, maybe a variable; the lock file's path."""

    project: str = ""
    lock_path: str = ""

"""What the API says, and what the sinks hold. Values are normalised where they enter: instants are aware and in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from reconciler.model.names import EndpointKind, EndpointRef
from reconciler.model.ownership import NOBODY, Identity, Ownership
from reconciler.model.secret import Secret


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A live API key. `id` is the API's own name for it, and opaque: in v3, the key's name.

    `text` is its description without the marker, `ownership` the marker (None: none can be read). `claimed_by` is the
    stack named by something that looks like a marker but cannot be read (`""`: not even that), and `identity` what else
    can be read of it. `status` is the API's own word (`""`: it has none).

    `released` is the marker of a stack that let go of it: it is nobody's. `taken_from` is the stack that its marker
    names where the file takes the key over from that (`moved`); `ownership` then says what it is to be. `has_addition`:
    there is text behind the marker, where keyform writes none.
    """

    id: str
    name: str
    text: str
    ownership: Ownership | None
    created_at: datetime
    expires_at: datetime | None = None
    claimed_by: str | None = None
    status: str = ""
    identity: Identity = NOBODY
    released: Ownership | None = None
    taken_from: str = ""
    has_addition: bool = field(default=False, compare=False)

    @property
    def description(self) -> str:
        """Its whole description: the text, then the marker."""
        return f"{self.text} {self.ownership.marker()}".lstrip() if self.ownership else self.text

    @property
    def marked_by(self) -> str | None:
        """The stack that a marker names, be it readable, forged or broken; None for a key without one."""
        return self.ownership.stack if self.ownership is not None else self.claimed_by

    @property
    def is_active(self) -> bool:
        """Whether the API calls it active, or gives no status."""
        return self.status.upper() in ("", "ACTIVE")

    def is_expired(self, now: datetime) -> bool:
        """Whether the data plane refuses it now."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True, order=True)
class Binding:
    """A live key, by its id, opens an endpoint, whether the API stores the binding on the key or on the endpoint."""

    key_id: str
    endpoint: EndpointRef


class Unchanged(Enum):
    """A value for fields that may be None: the field stays as it is."""

    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """The answer to a create: the only time that the API shows the secret."""

    key: LiveKey
    secret: Secret


@dataclass(frozen=True, slots=True)
class LiveEndpoint:
    """A deployment or an application.

    `application` names the application that a deployment belongs to; its keys are set on the application. `addresses`
    are opaque; `status` is the API's own word. `alias` is its name, if it goes by its id because others share the name,
    or because the file uses the id.
    """

    ref: EndpointRef
    auth_enabled: bool = True
    addresses: tuple[str, ...] = ()
    status: str = ""
    application: str | None = None
    alias: str = ""

    @property
    def is_public(self) -> bool:
        """Whether everyone may call it: authentication is off."""
        return not self.auth_enabled


RELEASED = "released."
"""The prefix of a stack's name in the records that it released; no stack has such a name."""
RECORD_FORM = 2
"""The form in which records are written. The first form named neither API nor project, and had microseconds."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a sink's record: a stack whose keys are in a project of the API at a host (`api.gcore.com`).

    `""` and 0 mean unknown, as in records of the first form. `formerly` are the stack's earlier names, and `takes` the
    keys that it takes over from stacks which released them: pairs of a stack and its key's name.
    """

    stack: str
    api: str = ""
    project: int = 0
    formerly: frozenset[str] = field(default=frozenset(), compare=False)
    takes: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)

    def has(self, stack: str, key: str) -> bool:
        """Whether a record of a key that names this stack is the owner's, as far as that goes."""
        return (
            stack == self.stack
            or stack in self.formerly
            or (stack.startswith(RELEASED) and (stack.removeprefix(RELEASED), key) in self.takes)
        )

    def owns(self, other: Owner, key: str) -> bool:
        """Whether a record of a key that names this other owner is the owner's."""
        return self.has(other.stack, key) and self.is_same(replace(other, stack=self.stack))

    def take(self, record: SinkRecord) -> SinkRecord:
        """A record that is the owner's, as its own; `former` is the stack's name in it, if that is another one."""
        return record if record.stack == self.stack else replace(record, stack=self.stack, former=record.stack)

    def is_same(self, other: Owner) -> bool:
        """Whether they agree in everything that both know."""
        return (
            self.stack == other.stack
            and (self.api == other.api or not self.api or not other.api)
            and (self.project == other.project or not self.project or not other.project)
        )

    def of(self, key: str) -> str:
        """A key of this owner, for an error: `inference-prod/payments-api (project 1234 at api.gcore.com)`."""
        if self.stack.startswith(RELEASED):
            return f"{self.stack.removeprefix(RELEASED)}/{key}, which that stack released"
        places = (f"project {self.project}" if self.project else "", f"at {self.api}" if self.api else "")
        place = " ".join(filter(None, places))
        return f"{self.stack}/{key}{f' ({place})' if place else ''}"


@dataclass(frozen=True, slots=True)
class SinkRecord:
    """A sink's record for a key: which generation, and the `created_at` of the live key behind it.

    `created_at` is an instant in UTC, cut to the second, as the API shows it in a reading. `api` and `project` are
    those of the owner; `form` is that of the record that was read.
    """

    stack: str
    key: str
    generation: int
    live_name: str
    created_at: datetime
    api: str = ""
    project: int = 0
    form: int = field(default=RECORD_FORM, compare=False)
    former: str = field(default="", compare=False)
    """The stack that the record names, if this one takes it over: the next write of it names this one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "created_at", self.created_at.replace(microsecond=0))

    @property
    def owner(self) -> Owner:
        """Its owner."""
        return Owner(self.stack, self.api, self.project)

    @property
    def let_go(self) -> SinkRecord:
        """The record once the stack no longer manages the key."""
        return replace(self, stack=f"{RELEASED}{self.stack}")


@dataclass(frozen=True, slots=True)
class LaterRecord:
    """A record of this stack for a key in a later version's form: keyform neither touches it nor treats it as
    foreign.
    """

    key: str
    form: int


@dataclass(frozen=True, slots=True)
class ForeignRecord:
    """What is in a key's place in a sink and has another owner, or none; never its secret.

    `message` names the place and the owner, `way_out` says what to do.
    """

    key: str
    message: str
    way_out: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a live part cannot be used: what is wrong and where, and the way out."""

    message: str
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class Repair:
    """What is not as it should be in a sink, although no secret is lost: the next apply corrects it.

    `code` is stable; `sentence` says where, what, and what the apply does.
    """

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class SinkContents:
    """What a sink holds for this stack, by key; a sink that cannot be read back has `readable` false and no records.

    A sink that is not `removable` keeps what it holds. One that `reads_secrets` gives them back, too. `is_absent`:
    there is nothing at its destination. `destination` says in one line where it writes; `exposure` what a reviewer has
    to know about that (`""`: nothing). `is_evidence`: its records prove who owns a live key, because neither a pull
    request nor the portal can write them. `later` says, for each key whose record a later version wrote, why it is held
    up; `foreign` for each key whose place has another owner.

    `trouble`: it could not be read this time, and its content is unknown. `unwritable` are the keys whose secrets it
    cannot take.
    """

    records: Mapping[str, SinkRecord] = field(default_factory=dict)
    readable: bool = True
    removable: bool = True
    reads_secrets: bool = True
    is_absent: bool = False
    destination: str = ""
    exposure: str = ""
    is_evidence: bool = True
    repairs: tuple[Repair, ...] = ()
    warning: str = ""
    """Why consumers may not get what it holds, in a way that keyform does not change."""
    later: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, Trouble] = field(default_factory=dict)
    trouble: Trouble | None = None
    unwritable: Mapping[str, Trouble] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether its content was read."""
        return self.readable and self.trouble is None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What depends on the API's generation, declared by a dialect.

    `mutable_key_fields` are those of a live key that change in place. `switches_authentication`: an endpoint's first
    key turns its authentication on, and unlinking the last one turns it off; otherwise that is unknown in advance.
    `shares_lists`: what is written as a whole belongs to an endpoint, including the bindings of other stacks' keys.
    """

    mutable_key_fields: frozenset[str] = frozenset({"description"})
    switches_authentication: bool = True
    shares_lists: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything read before planning, each part in order of name; `bindings` say which live key opens what.

    `unseen` says for a kind of endpoints why the API did not show them: their names and keys are then unknown.
    """

    keys: tuple[LiveKey, ...] = ()
    endpoints: tuple[LiveEndpoint, ...] = ()
    bindings: frozenset[Binding] = frozenset()
    sinks: Mapping[str, SinkContents] = field(default_factory=dict)
    capabilities: Capabilities = Capabilities()
    unseen: Mapping[EndpointKind, Trouble] = field(default_factory=dict)

    def endpoint_names(self, kind: EndpointKind) -> tuple[str, ...]:
        """The names of all live endpoints of a kind."""
        return tuple(endpoint.ref.name for endpoint in self.endpoints if endpoint.ref.kind is kind)

"""The plan, as data: an ordered list of changes. It holds no secret, and is the same to the byte for the same input."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from reconciler.errors import Finding
from reconciler.model import EndpointRef, Ownership, SinkRecord


class Action(StrEnum):
    """What happens to the resource at an address, in Terraform's words."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    ROTATE = "rotate"
    """A new generation is made and published; the old one is retired."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a change is there: a stable code for machines, and a sentence for people."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """A field that differs; values are as JSON has them (instants as ISO 8601 in UTC)."""

    path: str
    live: str | bool | int | None
    desired: str | bool | int | None


@dataclass(frozen=True, slots=True)
class Link:
    """One key's place in an endpoint's list: the live name, the key it embodies (`""`: foreign), and why it moves."""

    live_name: str
    key: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of a plan.

    `address` is the resource that a reader cares about (`key.payments-api`, `deployment.llama3`); `action` is what
    happens to that resource; `depends_on` holds the ids of changes that must be done before.
    """

    address: str
    action: Action
    reason: Reason
    diff: tuple[FieldDiff, ...] = ()
    depends_on: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Unique in its plan."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateGeneration(Change):
    """Make a live key, marked pending. `ownership.since` is when the plan was made."""

    live_name: str
    text: str
    ownership: Ownership
    expires_at: datetime | None

    @property
    def id(self) -> str:
        return f"create:{self.live_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe(Change):
    """Write a live key's description: the human text, or the marker (adoption, a publication that was cut short)."""

    live_name: str
    text: str
    ownership: Ownership

    @property
    def id(self) -> str:
        return f"describe:{self.live_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind(Change):
    """Add live keys to an endpoint's list, in one write; nothing is removed.

    `stays` are the live keys of the stack that are on it: in this step none is lost, whatever a stale reading says.
    """

    endpoint: EndpointRef
    links: tuple[Link, ...]
    stays: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"bind:{self.endpoint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prove(Change):
    """Try the new generation's secret at every endpoint that it is bound to; nothing is written."""

    live_name: str
    key: str
    endpoints: tuple[EndpointRef, ...]

    @property
    def id(self) -> str:
        return f"prove:{self.live_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish(Change):
    """Write the new generation's secret to its sinks, then mark the generation published."""

    live_name: str
    text: str
    ownership: Ownership
    sinks: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"publish:{self.live_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbind(Change):
    """Take live keys off an endpoint's list, in one write; `opens` only where the file says `auth: open`.

    `stays` are the live keys of the stack that are on it and are wanted there.
    """

    endpoint: EndpointRef
    links: tuple[Link, ...]
    stays: tuple[str, ...] = ()
    opens: bool = False

    @property
    def id(self) -> str:
        return f"unbind:{self.endpoint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveRecord(Change):
    """Remove a key's secret and record from a sink."""

    sink: str
    key: str
    record: SinkRecord | None

    @property
    def id(self) -> str:
        return f"remove-record:{self.sink}/{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteKey(Change):
    """Delete a live key that is bound nowhere any more."""

    live_name: str
    key: str

    @property
    def id(self) -> str:
        return f"delete:{self.live_name}"


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked for beside the file: a rotation of these keys now, and nothing else. `revoke`: no overlap."""

    keys: frozenset[str]
    revoke: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader should know that is not a change. `code` is stable."""

    code: str
    address: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What the plan does to keys, each counted once by its strongest action, and to endpoints' own settings."""

    add: int = 0
    change: int = 0
    rotate: int = 0
    destroy: int = 0


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a sink of the file writes, in one line, and whether what it holds can be read back."""

    sink: str
    place: str
    is_readable: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, in order. `refusals` not empty: safety says no, and nothing may be applied.

    `exposures` say which endpoints become public, or already are, who is cut, and what a leaked secret still opens;
    they go to the top of every report. `unmet` is what the file asks for and the plan leaves undone: the rest may be
    applied, and the exit code is that of an error. `destinations` are all sinks that keys name, also those that nothing
    is written to now: a later run does. `lock` is the lock where it is not the API's, in words. `expiring` are the keys
    that have expired or soon will, and that nothing rotates: no change, and no error.
    """

    stack: str
    project: int
    made_at: datetime
    changes: tuple[Change, ...] = ()
    refusals: tuple[Finding, ...] = ()
    exposures: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    expiring: tuple[Note, ...] = ()
    unmet: tuple[Finding, ...] = ()
    destinations: tuple[Destination, ...] = ()
    lock: str = ""
    key_count: int = field(default=0)

    @property
    def is_empty(self) -> bool:
        """Nothing to do."""
        return not self.changes

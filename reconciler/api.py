"""The port to the API: what keyform asks of it, in keyform's words, for every generation of the API.

A live key has an `id`, which is opaque; bindings are a relation between keys and endpoints, whichever side the API
keeps them on. The port decides what may go in one write (`group`): a caller passes changes, and gets the outcome of
each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self

from reconciler.errors import KeyformError, NotFound
from reconciler.model import (
    Binding,
    Capabilities,
    CreatedKey,
    EndpointKind,
    EndpointRef,
    Length,
    LiveEndpoint,
    LiveKey,
    Reply,
    Secret,
    Trouble,
    Unchanged,
    as_kept,
    is_kept,
    read_description,
    tell_apart,
)

Move = Binding | EndpointRef
"""One result of a write of bindings: a binding that is made or removed, or an endpoint that opens."""


class Fence(Protocol):
    """What keeps a write from crossing that of another run: the lock of the stack. All methods raise LockLost."""

    def check(self) -> None:
        """Check with the API that this run still holds the lock and has time left."""
        ...

    def hold(self) -> None:
        """Check, by the clock alone, that the lock lasts longer than a request."""
        ...

    def keep_alive(self) -> None:
        """Renew it when that is due, during a long wait."""
        ...


@dataclass(frozen=True, slots=True)
class LiveState:
    """Everything live in the project: keys in order of name, endpoints in order, and which key opens which.

    `unseen` says for a kind of endpoints why the API does not show them to this token.
    """

    keys: tuple[LiveKey, ...] = ()
    endpoints: tuple[LiveEndpoint, ...] = ()
    bindings: frozenset[Binding] = frozenset()
    unseen: Mapping[EndpointKind, Trouble] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointReading:
    """One endpoint as it is now, and the ids of the keys that are bound to it, in the API's order."""

    endpoint: LiveEndpoint
    bound: tuple[str, ...]


def require_settable(ref: EndpointRef, reading: EndpointReading | None) -> EndpointReading:
    """The reading of an endpoint whose keys can be set on it.

    Raises NotFound if it is gone, and KeyformError if its keys are now set on an application.
    """
    if reading is None:
        raise NotFound(f"{ref} was removed after the plan was made", way_out="run plan again")
    if reading.endpoint.application is not None:
        raise KeyformError(
            f"{ref} now belongs to the application {reading.endpoint.application}",
            way_out="bind the key to the application instead",
        )
    return reading


@dataclass(frozen=True, slots=True)
class KeyUpdate:
    """What to write on a live key: always its whole description, and its expiry if the API can change that.

    `length`: the expiry comes from a length of time, and may be off by up to a day.
    """

    description: str
    expires_at: datetime | Unchanged | None = Unchanged.UNCHANGED
    length: Length | None = None


def find_unkept(live: LiveKey, asked: KeyUpdate, now: datetime) -> str:
    """The field of a live key that differs from the request, with both values, for a message; `""` if none does."""
    text, ownership = read_description(asked.description)
    if (live.text, live.ownership) != (as_kept(text), ownership):
        wanted, kept = tell_apart(asked.description, live.description)
        return f'description (asked: "{wanted}", kept: "{kept}")'
    if isinstance(asked.expires_at, Unchanged) or is_kept(asked.expires_at, live.expires_at, asked.length, now):
        return ""
    return f"expires_at (asked: {_in_words(asked.expires_at)}, kept: {_in_words(live.expires_at)})"


def _in_words(expires_at: datetime | None) -> str:
    return f"{expires_at:%Y-%m-%dT%H:%M:%SZ}" if expires_at else "never"


@dataclass(frozen=True, slots=True)
class Rebinding:
    """Bindings to make and to remove, and endpoints to open by unlinking their last key.

    `keep` are the stack's bindings that stay: none of them is lost, whatever a stale reading says. `going` are those
    that a later step removes: if the API refuses a write because one of their keys has expired, it is removed now.
    `closes` are endpoints that have to require a key once one is bound.
    """

    add: frozenset[Binding] = frozenset()
    remove: frozenset[Binding] = frozenset()
    opens: frozenset[EndpointRef] = frozenset()
    keep: frozenset[Binding] = frozenset()
    going: frozenset[Binding] = frozenset()
    closes: frozenset[EndpointRef] = frozenset()


class Api(Protocol):
    """One project of the API. Failures are `ApiError`; reads are sent again inside, a create only after a
    rate limit.
    """

    @property
    def host(self) -> str:
        """The API's host, such as `api.gcore.com`; with its port if that is not the scheme's default."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What depends on the API's generation."""
        ...

    def fenced(self, fence: Fence) -> Self:
        """The same API, with a fence that each write checks right before it is sent; the fence raises LockLost.

        Writes of bindings also check the fence right before the reading that they depend on, and again at the end.
        """
        ...

    def now(self) -> datetime:
        """The instant by the API's own clock, aware and in UTC: it decides whether something is due, or has ended."""
        ...

    # --- Reading ------------------------------------------------------------------------------------------------------

    def read_live(self) -> LiveState:
        """Everything live, each list read once.

        It is not a failure if a token may not see applications: keys and deployments work without them.
        """
        ...

    def list_keys(self) -> tuple[LiveKey, ...]:
        """All live keys of the project, in order of name."""
        ...

    def list_bindings(self) -> frozenset[Binding]:
        """Bindings of keys to endpoints, as far as the API shows endpoints to this token."""
        ...

    def get_key(self, key_id: str) -> LiveKey | None:
        """One live key, or None when there is none."""
        ...

    def find_key(self, name: str) -> LiveKey | None:
        """The live key of a name that only one key can have, as after a lost create; None if there is none."""
        ...

    def read_endpoint(self, ref: EndpointRef) -> EndpointReading | None:
        """One endpoint and its keys, or None when there is none."""
        ...

    # --- Writing ------------------------------------------------------------------------------------------------------

    def create_key(self, name: str, description: str, expires_at: datetime | None) -> CreatedKey:
        """Create a live key without bindings; `expires_at` None means never.

        Done at most once: sent again only if the API said that it did not accept it. If an error says
        `effect_is_unknown`, there may be such a key, and its secret is lost.
        """
        ...

    def update_key(self, key_id: str, update: KeyUpdate) -> None:
        """Change a live key in place, and confirm by the answer, or by a reading, that the API kept it.
        Raises NotKept.
        """
        ...

    def delete_key(self, key_id: str) -> bool:
        """Delete a live key; False if it was gone already. Raises Conflict if it is still bound.

        If not all endpoints are visible, the key is read again first: it may open one that the token cannot see.
        """
        ...

    def group(self, moves: Iterable[Move]) -> tuple[tuple[Move, ...], ...]:
        """Split these into groups, one write each, in the order given. Groups may run in parallel.

        An endpoint that opens is in one group with all moves at it: it opens only when its last key is unlinked.
        """
        ...

    def rebind(self, wanted: Rebinding) -> Mapping[Move, KeyformError]:
        """Write one group, wait until it is done, read back, and return what was not done, and why.

        It raises if nothing of the group was done, or if that is unknown (`effect_is_unknown`). Nothing is sent that
        would leave an endpoint without a valid key, unless the group `opens` it.
        """
        ...

    # --- The data plane -----------------------------------------------------------------------------------------------

    def ask_endpoint(self, address: str, secret: Secret | None, *, timeout: float) -> Reply:
        """Call an endpoint itself, at its address, with a secret or without a key; never with keyform's own token.

        `timeout` is in seconds. It does not fail: no answer is a reply, too.
        """
        ...

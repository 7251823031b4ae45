"""The port to the API: what keyform asks of it, in keyform's words, whichever generation of the API answers.

A live key is known by its `id`, which is opaque; who opens what is a relation between keys and endpoints, whichever
side the API keeps it on. What may go in one write is for the port to say (`group`): a caller hands over changes, and is
told what came of each.
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
"""One thing that a write of bindings brings about: a binding that is made or taken away, or an endpoint that opens."""


class Fence(Protocol):
    """What keeps a write from crossing that of another run: the lock of the stack. All raise LockLost."""

    def check(self) -> None:
        """Check with the API that the lock is still ours and has time left."""
        ...

    def hold(self) -> None:
        """Check, by the clock alone, that the lock outlasts a request."""
        ...

    def keep_alive(self) -> None:
        """Renew it when that is due, during a long wait."""
        ...


@dataclass(frozen=True, slots=True)
class LiveState:
    """All that is live in the project: keys in order of name, endpoints in order, and which key opens which.

    `unseen` says of a kind of endpoints why the API does not show them to this token.
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

    Raises NotFound when it is gone, and KeyformError when its keys are set on an application by now.
    """
    if reading is None:
        raise NotFound(f"{ref} is gone since the plan was made", way_out="run plan again")
    if reading.endpoint.application is not None:
        raise KeyformError(
            f"{ref} belongs to the application {reading.endpoint.application} by now",
            way_out="bind the key to the application instead",
        )
    return reading


@dataclass(frozen=True, slots=True)
class KeyUpdate:
    """What to write on a live key: always its whole description, and its expiry where the API can change that.

    `length`: the expiry comes of a length of time, and need not be kept to the second.
    """

    description: str
    expires_at: datetime | Unchanged | None = Unchanged.UNCHANGED
    length: Length | None = None


def find_unkept(live: LiveKey, asked: KeyUpdate, now: datetime) -> str:
    """The field of a live key that is not as it was asked for, with both values, for a message; `""` if all are."""
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
    """Bindings to make and to take away, and endpoints to open by taking their last key off.

    `keep` are the stack's bindings that stay: none of them is lost, whatever a stale reading says. `going` are those
    that a later step takes away: where the API refuses a write because of one of them that has expired, it goes now.
    `closes` are endpoints that have to ask for a key once one is bound.
    """

    add: frozenset[Binding] = frozenset()
    remove: frozenset[Binding] = frozenset()
    opens: frozenset[EndpointRef] = frozenset()
    keep: frozenset[Binding] = frozenset()
    going: frozenset[Binding] = frozenset()
    closes: frozenset[EndpointRef] = frozenset()


class Api(Protocol):
    """One project of the API. Failures are `ApiError`; reads are sent again inside, a create never is."""

    @property
    def host(self) -> str:
        """What the API is reached at, such as `api.gcore.com`; with its port where that is not the scheme's own."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What depends on the API's generation."""
        ...

    def fenced(self, fence: Fence) -> Self:
        """The same API, each write of which has to hold a fence right before it is sent; it then raises LockLost.

        Writes of bindings also ask the fence right before the reading that they rest on, and again in the end.
        """
        ...

    def now(self) -> datetime:
        """The instant by the API's own clock, aware and in UTC: what decides whether something is due, or over."""
        ...

    # --- Reading ------------------------------------------------------------------------------------------------------

    def read_live(self) -> LiveState:
        """All that is live, each list read once.

        That a token may not see applications is no failure: keys and deployments go on without them.
        """
        ...

    def list_keys(self) -> tuple[LiveKey, ...]:
        """All live keys of the project, in order of name."""
        ...

    def list_bindings(self) -> frozenset[Binding]:
        """Which key opens which endpoint, as far as the API shows endpoints to this token."""
        ...

    def get_key(self, key_id: str) -> LiveKey | None:
        """One live key, or None when there is none."""
        ...

    def find_key(self, name: str) -> LiveKey | None:
        """The live key with a name that only one key can have, as after a lost create; None if there is none."""
        ...

    def read_endpoint(self, ref: EndpointRef) -> EndpointReading | None:
        """One endpoint and its keys, or None when there is none."""
        ...

    # --- Writing ------------------------------------------------------------------------------------------------------

    def create_key(self, name: str, description: str, expires_at: datetime | None) -> CreatedKey:
        """Make a live key that opens nothing; `expires_at` None means never.

        Done at most once: sent again only where the API said that it did not take it. When an error says
        `effect_is_unknown`, there may be such a key, and its secret is lost.
        """
        ...

    def update_key(self, key_id: str, update: KeyUpdate) -> None:
        """Change a live key in place, and see by the answer, or by a reading, that it was kept. Raises NotKept."""
        ...

    def delete_key(self, key_id: str) -> bool:
        """Delete a live key; False when it was gone already. Raises Conflict where it is still bound.

        Where not all endpoints are shown, the key is read again before: it may open one that nobody sees.
        """
        ...

    def group(self, moves: Iterable[Move]) -> tuple[tuple[Move, ...], ...]:
        """Split these into groups, one write each, in the order given. Groups may run in parallel.

        An endpoint that opens is in one group with all moves at it: it opens only where the last key goes.
        """
        ...

    def rebind(self, wanted: Rebinding) -> Mapping[Move, KeyformError]:
        """Write one group, wait until it is done, read back, and give what was not done, and why.

        It raises where nothing of the group was done, or where that is unknown (`effect_is_unknown`). Nothing is sent
        that would leave an endpoint without a valid key, unless the group `opens` it.
        """
        ...

    # --- The data plane -----------------------------------------------------------------------------------------------

    def ask_endpoint(self, address: str, secret: Secret | None, *, timeout: float) -> Reply:
        """Ask an endpoint itself, at its address, with a secret or without a key; never with keyform's own token.

        `timeout` is in seconds. It does not fail: no answer is a reply, too.
        """
        ...

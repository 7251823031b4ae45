"""What only one generation of the API knows: the client asks its dialect, never for a version."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from urllib.parse import quote

from reconciler.api import EndpointReading, KeyUpdate, Move, Rebinding
from reconciler.errors import KeyformError
from reconciler.gcore.wire import Entry, Fields
from reconciler.model import Capabilities, EndpointKind, EndpointRef, LiveEndpoint, LiveKey

if TYPE_CHECKING:
    from reconciler.gcore.project import Project

Item = TypeVar("Item")
MakeDialect = Callable[[int, Container[str]], "Dialect"]
"""From the project's number, and from what the file calls deployments, since a file may use an id as a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection(Generic[Item]):
    """Where objects of one kind are, how one of them is read, and the words for them.

    `words` is what messages call one (`key {}`). `page_limit` None means that the list has no pages; `query` is sent
    along with those parameters. `addressable` is a regular expression that a whole id has to match to go into a path.
    `shows_bindings`: bindings cannot be read without this list. `spares` is the kind of endpoints that a token may have
    no right to see, while it sees the rest of the project. `settle` reduces a whole list, as it was read, to what
    counts.
    """

    noun: str
    words: str
    path: str
    read: Callable[[Fields], Entry[Item]]
    page_limit: int | None = None
    query: tuple[tuple[str, int], ...] = ()
    addressable: str = r"(?s:(?!\.{0,2}\Z).*)"
    shows_bindings: bool = False
    spares: EndpointKind | None = None
    settle: Callable[[tuple[Entry[Item], ...]], tuple[Entry[Item], ...]] = lambda entries: entries

    def item(self, entry_id: str) -> str:
        """The path of one object; the id cannot leave its segment."""
        return f"{self.path}/{quote(entry_id, safe='')}"

    def can_address(self, entry_id: str) -> bool:
        """Whether a path leads to an object of this id."""
        return re.fullmatch(self.addressable, entry_id) is not None


class Dialect(Protocol):
    """One generation of the API, for one project. Safe between threads.

    Which object lists a binding, its entries say in their `links`. A write whose body depends on a reading may be sent
    again only if it certainly was not processed (`Resend.IF_UNPROCESSED`).
    """

    @property
    def capabilities(self) -> Capabilities:
        """What the planner has to know about it."""
        ...

    @property
    def keys(self) -> Collection[LiveKey]:
        """Where keys are."""
        ...

    @property
    def endpoints(self) -> Sequence[Collection[LiveEndpoint]]:
        """Where endpoints are, a list for each kind of them."""
        ...

    def key_id_of(self, name: str) -> str | None:
        """The id that the key of this name has, or None if the API generates ids."""
        ...

    def create_body(self, name: str, description: str, expires_at: datetime | None) -> dict[str, Any]:
        """The body that creates a key without bindings; `description` may be empty, `expires_at` None means never."""
        ...

    def update_key(self, project: Project, key_id: str, update: KeyUpdate) -> LiveKey:
        """Change a key in place, and return it as the answer shows it.

        If the API requires every field, the others are sent as read just before.
        """
        ...

    def require_unbound(self, project: Project, key_id: str, *, sees_all: bool) -> None:
        """Raise Conflict for a key that opens something, if the API would delete it nevertheless.

        `sees_all`: all lists of endpoints could be read, so a key that is on none of them opens nothing.
        """
        ...

    def read_endpoint(self, project: Project, ref: EndpointRef) -> EndpointReading | None:
        """One endpoint and its keys, or None when there is none."""
        ...

    def group(self, moves: Iterable[Move]) -> tuple[tuple[Move, ...], ...]:
        """Split these into groups, one write each, as `Api.group`."""
        ...

    def rebind(self, project: Project, wanted: Rebinding) -> Mapping[Move, KeyformError]:
        """Write one group, as `Api.rebind`; the project has a fence, and the group is one of `group`."""
        ...

"""What v2 shows of keys and deployments, and what it accepts."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from reconciler.gcore.wire import Entry, Fields, Item, read_key, write_instant
from reconciler.model import EARLIEST, EndpointKind, EndpointRef, LiveEndpoint, LiveKey, read_description

KEY_DEFAULTS: dict[str, Any] = {
    "description": None,
    "expires_at": None,
    "inference_instance_ids": [],
    "project_id": None,
}
"""[D] Fields that an answer may omit, with what that means."""
DELETED = "DELETED"
"""[D] A status of deployments; one that has it no longer exists [I]."""


@dataclass(frozen=True, slots=True)
class KeyEntry(Entry[LiveKey]):
    """A key with what a PATCH has to repeat: its description with the marker, and its expiry to the microsecond."""

    project: int | None = None
    description: str | None = None
    expires_at: datetime | None = None

    def is_like(self, other: KeyEntry) -> bool:
        """Whether a PATCH based on either repeats the same values."""
        same = (self.description, self.expires_at) == (other.description, other.expires_at)
        return same and set(self.links) == set(other.links)

    @property
    def is_ours(self) -> bool:
        """Whether its description has a marker, of whatever stack."""
        return read_description(self.description)[1] is not None

    def is_in(self, project: int) -> bool:
        """Whether it belongs to a project; a key may name none [D]."""
        return self.project in (None, project)


def key(fields: Fields) -> Entry[LiveKey]:
    """A key, which has the id `key_id`, and names the deployments that it opens [D]."""
    filled = replace(fields, values={**KEY_DEFAULTS, **fields.values})
    key_id = filled.name("key_id")
    live = replace(read_key(filled, key_id), status=filled.any_word("status"))
    expires_at = filled.optional_instant("expires_at")
    return KeyEntry(
        id=key_id,
        name=live.name,
        item=live,
        links=filled.nullable_names("inference_instance_ids"),
        project=None if filled.values["project_id"] is None else filled.whole_number("project_id"),
        description=filled.optional_text("description"),
        expires_at=None if expires_at == EARLIEST else expires_at,
    )


def deployment(fields: Fields) -> Entry[LiveEndpoint]:
    """A deployment, which has the id `id`, and names the keys that open it [D].

    `auth_enabled` is false if it is omitted [D]; whether a key without it closes anything is unknown [U], and the API's
    word counts.
    """
    filled = replace(fields, values={"api_key_ids": [], **fields.values})
    ref = EndpointRef(EndpointKind.DEPLOYMENT, filled.name("name"))
    address = filled.any_address("address")
    live = LiveEndpoint(
        ref=ref,
        auth_enabled=bool(filled.optional_flag("auth_enabled")),
        addresses=(address,) if address else (),
        status=filled.any_word("status"),
    )
    return Entry(filled.name("id"), ref.name, live, filled.nullable_names("api_key_ids"))


def body(entry: KeyEntry, project: int) -> dict[str, Any]:
    """A PATCH that gives a key this state: every field, since the meaning of a missing field, or null, is
    unknown [U].
    """
    return {
        "description": entry.description,
        "expires_at": entry.expires_at and write_whole_instant(entry.expires_at),
        "inference_instance_ids": list(entry.links),
        "project_id": project,
    }


def listing(entries: Iterable[Entry[Item]], entry_id: str) -> tuple[Entry[Item], ...]:
    """The objects of one side of the bindings that list an object of the other side."""
    return tuple(entry for entry in entries if entry_id in entry.links)


def write_whole_instant(instant: datetime) -> str:
    """As the document writes it, with the fraction of a second that other people's keys may have."""
    fraction = f".{instant.microsecond:06}" if instant.microsecond else ""
    return f"{write_instant(instant).removesuffix('Z')}{fraction}Z"


def name_deployments(
    entries: tuple[Entry[LiveEndpoint], ...], named: Container[str]
) -> tuple[Entry[LiveEndpoint], ...]:
    """What the file may call each: its name, or its id if several share that name, or the file uses its id."""
    there = [entry for entry in entries if entry.item.status != DELETED]
    names = [entry.name for entry in there]

    def called(entry: Entry[LiveEndpoint]) -> Entry[LiveEndpoint]:
        by_id = entry.id in named or names.count(entry.name) > 1
        if not by_id:
            return entry
        ref = EndpointRef(EndpointKind.DEPLOYMENT, entry.id)
        return replace(entry, item=replace(entry.item, ref=ref, alias=entry.name))

    return tuple(map(called, there))

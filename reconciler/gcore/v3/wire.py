"""What v3 shows of keys, deployments, applications and tasks."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.gcore.wire import Entry, Fields, read_key, unexpected
from reconciler.model import EndpointKind, EndpointRef, LiveEndpoint, LiveKey

FINISHED = "FINISHED"
FAILED = "ERROR"
UNFINISHED = frozenset({"NEW", "RUNNING"})

MOST_TASKS = 100
"""Tasks of one write; it has one [D]."""


@dataclass(frozen=True, slots=True)
class Task:
    """The part of a task that waiting for it needs: NEW, RUNNING, FINISHED or ERROR, and the API's `error` text [D].

    Any other state, including `""`, is not in the documents.
    """

    state: str
    error: str


@dataclass(frozen=True, slots=True)
class KeyEntry(Entry[LiveKey]):
    """A key, and the deployments that it says it opens [D]: maybe not all, so they are not its `links`."""

    deployments: tuple[str, ...] = ()


def key(fields: Fields) -> KeyEntry:
    """A key, whose id is its name [D]. It may name only some of the deployments that it opens."""
    name = fields.name("name")
    deployments = fields.nullable_names("deployment_names") if fields.has("deployment_names") else ()
    return KeyEntry(name, name, read_key(fields, name), deployments=deployments)


def deployment(fields: Fields) -> Entry[LiveEndpoint]:
    """`api_keys` may be null or missing; `auth_enabled` is deprecated, and counts if it exists [D]. Status and address
    may be missing: a plan needs neither.

    The deployment belongs to the application that an `AppDeployment` reference names [I].
    """
    name = fields.name("name")
    api_keys = fields.nullable_names("api_keys") if fields.has("api_keys") else ()
    auth_enabled = fields.optional_flag("auth_enabled")
    address = fields.any_address("address")
    owners = [
        entry.name("name") for entry in fields.objects("object_references") if entry.word("kind") == "AppDeployment"
    ]
    live = LiveEndpoint(
        ref=EndpointRef(EndpointKind.DEPLOYMENT, name),
        auth_enabled=bool(api_keys) if auth_enabled is None else auth_enabled,
        addresses=(address,) if address else (),
        status=fields.any_word("status"),
        application=owners[0] if owners else None,
    )
    return Entry(name, name, live, api_keys)


def application(fields: Fields) -> Entry[LiveEndpoint]:
    """An application has no `auth_enabled`: authentication is on if it has keys [I].

    Its status and addresses may be missing: a plan needs neither. A part without an address has the address `""`, so
    that `verify` does not judge the application by its other parts alone.
    """
    name = fields.name("name")
    api_keys = fields.nullable_names("api_keys")
    status = fields.any_inner("status")
    live = LiveEndpoint(
        ref=EndpointRef(EndpointKind.APPLICATION, name),
        auth_enabled=bool(api_keys),
        addresses=tuple(entry.any_address("address") for entry in status.any_members("expose_addresses")),
        status=status.any_word("consolidated_status"),
    )
    return Entry(name, name, live, api_keys)


def task_ids(payload: object, what: str) -> tuple[str, ...]:
    """`{"tasks": [id]}` [D]. Raises UnexpectedAnswer."""
    tasks = Fields.of(payload, what).names("tasks")
    if len(tasks) > MOST_TASKS:
        raise unexpected(what, f"'tasks' names more than {MOST_TASKS}")
    return tasks


def task(payload: object, what: str) -> Task:
    """A task [D]; without a state that is a word, its state is `""`. Raises UnexpectedAnswer."""
    fields = Fields.of(payload, what)
    error = fields.optional_text("error") if fields.has("error") else None
    state = fields.word("state") if isinstance(fields.values.get("state"), str) else ""
    return Task(state, error or "")

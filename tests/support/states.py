"""Short ways to write down what is desired and what is live, for tests of planning and reporting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from reconciler.api import EndpointReading
from reconciler.model import (
    Auth,
    Binding,
    Capabilities,
    DesiredBinding,
    DesiredEndpoint,
    DesiredKey,
    DesiredState,
    EndpointKind,
    EndpointRef,
    LiveEndpoint,
    LiveKey,
    Ownership,
    Phase,
    Safety,
    SinkContents,
    SinkRecord,
    SinkSettings,
    Snapshot,
    digest,
)

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
A_MONTH_AGO = NOW - timedelta(days=30)
STACK = "prod"


def days(number: float) -> timedelta:
    """So many days."""
    return timedelta(days=number)


def deployment(name: str) -> EndpointRef:
    """A deployment's reference."""
    return EndpointRef(EndpointKind.DEPLOYMENT, name)


def application(name: str) -> EndpointRef:
    """An application's reference."""
    return EndpointRef(EndpointKind.APPLICATION, name)


def ref(text: str) -> EndpointRef:
    """`llama3` is a deployment, `app:webui` an application."""
    return application(text.removeprefix("app:")) if text.startswith("app:") else deployment(text)


def key(
    name: str,
    *endpoints: str,
    text: str | None = "",
    expires_at: datetime | None = None,
    says_expiry: bool = False,
    sinks: Iterable[str] = ("local",),
    overlap: timedelta = timedelta(hours=24),
    prevent_destroy: bool = False,
    adopt: str | None = None,
    every: timedelta | None = None,
    lifetime: timedelta | None = None,
    prove: bool = False,
) -> DesiredKey:
    """A declared key."""
    bindings = tuple(DesiredBinding(endpoint) for endpoint in sorted(map(ref, endpoints)))
    return DesiredKey(
        name,
        text,
        expires_at,
        bindings,
        tuple(sinks),
        overlap,
        prevent_destroy,
        adopt,
        every=every,
        lifetime=lifetime,
        prove=prove,
        says_expiry=says_expiry or expires_at is not None,
    )


def desired(
    *keys: DesiredKey,
    endpoints: Iterable[DesiredEndpoint] = (),
    max_deletes: int | None = 5,
    allow_empty: bool = False,
    max_replacements: int = 1,
    sinks: Mapping[str, str] | None = None,
) -> DesiredState:
    """A file; `sinks` gives the destination of each sink by name."""
    return DesiredState(
        STACK,
        1234,
        tuple(sorted(keys, key=lambda key: key.name)),
        tuple(endpoints),
        tuple(SinkSettings(name, "test", destination=place) for name, place in sorted((sinks or {}).items())),
        safety=Safety(max_deletes, allow_empty, max_replacements),
    )


def declared(name: str, auth: Auth | None = None, *, exclusive: bool = False) -> DesiredEndpoint:
    """A declared endpoint."""
    return DesiredEndpoint(ref(name), auth, exclusive)


def live(
    name: str,
    *,
    of: str = "",
    generation: int = 1,
    phase: Phase = Phase.PUBLISHED,
    since: datetime = A_MONTH_AGO,
    text: str = "",
    expires_at: datetime | None = None,
    created_at: datetime | None = None,
    protected: bool = False,
    stack: str = STACK,
    published_to: str | None = None,
) -> LiveKey:
    """A live key; with `of`, a generation of that key, owned by the stack; made before it was marked.

    By default, a published one was published to what the file says, if that has no sinks.
    """
    if published_to is None:
        published_to = digest([]) if phase is Phase.PUBLISHED else ""
    ownership = Ownership(stack, of, generation, phase, since, protected, published_to) if of else None
    return LiveKey(name, name, text, ownership, created_at or min(A_MONTH_AGO, since), expires_at)


def endpoint(name: str, *bound: str, public: bool | None = None, application: str | None = None) -> EndpointReading:
    """A live endpoint and the ids of its keys; public by default if no key is bound."""
    is_public = not bound if public is None else public
    return EndpointReading(LiveEndpoint(ref(name), not is_public, (), "ACTIVE", application), bound)


def bound_to(what: Snapshot, place: EndpointRef) -> set[str]:
    """The ids of the keys that are bound to an endpoint."""
    return {binding.key_id for binding in what.bindings if binding.endpoint == place}


def snapshot(
    *parts: LiveKey | EndpointReading,
    held: Iterable[str] = (),
    sink: str = "local",
    unreadable: Iterable[str] = (),
    lasting: Iterable[str] = (),
    more_sinks: Iterable[str] = (),
    mutable: Iterable[str] = ("description",),
) -> Snapshot:
    """What is live; `held` names the live keys whose secret the sink holds."""
    keys = tuple(sorted((part for part in parts if isinstance(part, LiveKey)), key=lambda part: part.name))
    readings = [part for part in parts if isinstance(part, EndpointReading)]
    endpoints = tuple(sorted((reading.endpoint for reading in readings), key=lambda endpoint: endpoint.ref))
    bindings = {Binding(key_id, reading.endpoint.ref) for reading in readings for key_id in reading.bound}
    records = {}
    for part in keys:
        if part.name in set(held) and part.ownership is not None:
            own = part.ownership
            records[own.key] = SinkRecord(own.stack, own.key, own.generation, part.name, part.created_at)
    sinks = {sink: SinkContents(records)}
    sinks.update({name: SinkContents() for name in more_sinks})
    sinks.update({name: SinkContents(readable=False) for name in unreadable})
    sinks.update({name: SinkContents(readable=False, removable=False) for name in lasting})
    return Snapshot(keys, endpoints, frozenset(bindings), sinks, Capabilities(frozenset(mutable)))

"""Short ways to write down what is desired and what is live, for tests of planning and reporting."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from reconciler.model import (
    Auth,
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
    Snapshot,
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
    text: str = "",
    expires_at: datetime | None = None,
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
    )


def desired(
    *keys: DesiredKey,
    endpoints: Iterable[DesiredEndpoint] = (),
    max_deletes: int | None = 5,
    allow_empty: bool = False,
) -> DesiredState:
    """A file."""
    return DesiredState(
        STACK,
        1234,
        tuple(sorted(keys, key=lambda key: key.name)),
        tuple(endpoints),
        safety=Safety(max_deletes, allow_empty),
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
) -> LiveKey:
    """A live key; with `of`, a generation of that key, owned by the stack; made before it was marked."""
    ownership = Ownership(stack, of, generation, phase, since, protected) if of else None
    return LiveKey(name, text, ownership, created_at or min(A_MONTH_AGO, since), expires_at)


def endpoint(name: str, *api_keys: str, public: bool | None = None, application: str | None = None) -> LiveEndpoint:
    """A live endpoint; public when no key is bound, unless said otherwise."""
    is_public = not api_keys if public is None else public
    return LiveEndpoint(ref(name), api_keys, not is_public, (), "ACTIVE", application)


def snapshot(
    *parts: LiveKey | LiveEndpoint,
    held: Iterable[str] = (),
    sink: str = "local",
    unreadable: Iterable[str] = (),
    lasting: Iterable[str] = (),
    more_sinks: Iterable[str] = (),
) -> Snapshot:
    """What is live; `held` names the live keys whose secret the sink holds."""
    keys = tuple(sorted((part for part in parts if isinstance(part, LiveKey)), key=lambda part: part.name))
    endpoints = tuple(sorted((part for part in parts if isinstance(part, LiveEndpoint)), key=lambda part: part.ref))
    records = {}
    for part in keys:
        if part.name in set(held) and part.ownership is not None:
            own = part.ownership
            records[own.key] = SinkRecord(own.stack, own.key, own.generation, part.name, part.created_at)
    sinks = {sink: SinkContents(records)}
    sinks.update({name: SinkContents() for name in more_sinks})
    sinks.update({name: SinkContents(readable=False) for name in unreadable})
    sinks.update({name: SinkContents(readable=False, removable=False) for name in lasting})
    return Snapshot(keys, endpoints, sinks)
